"""A pretend exchange with real REST and real signature checks, for the demo and the tests.

One port speaks for all exchanges and tells them apart by the Host header. `app` hears and says,
`control` is the remote control under `/_paper/`, `faults` misbehaves on command, `ledger` knows the
accounts, `markets` what is traded, `orders` how orders are filled. One file per exchange knows how
that one talks, and one beside it how that one lists its markets.
"""
