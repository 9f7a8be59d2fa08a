"""A pretend exchange with real REST and real signature checks, for the demo and the tests.

One port speaks for all exchanges and tells them apart by the Host header. `app` hears and says,
`faults` misbehaves on command, `ledger` knows the accounts, and one file per exchange knows how
that one talks. `/_paper/` is the remote control.
"""
