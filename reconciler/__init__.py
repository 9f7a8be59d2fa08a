"""The mind: compares what should be with what is, and says and does what is missing.

Theory of operation. `loop` holds one bridge by a lease. While it is held, two tasks share a
`desk`: `planning` makes passes (observe the bridge, survey the slots that may need something, let
`decide` say which step each needs, write the steps down as records), and `working` takes the
records that are due, writes the intent, attempts the step, and writes the outcome. `records` says
what is written down, `phases` which phase follows which, `history` what is told of it, `backoff`
when to try again, `lookout` where to look next. Of what is due `fairness` chooses, as `pacing` and
each exchange's pace (`paces`) leave room; `judging` tells a wrong key from an exchange that
refuses everybody. Everything outside is reached through `ports`; what can go wrong there is one of
the `verdicts`.

A pass reads the truth each time, so a restart, a recovery and a new key take the same path; a
hint only makes it look sooner. Nothing here speaks HTTP, SQL or cryptography.
"""
