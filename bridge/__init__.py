"""The Trading Bridge: holds exchange connectors in memory and proves them with real calls.

A request walks through `door` (who may come in) and `manners` (what HTTP asks) to one of `routes`,
which asks the registry in `connectors` or, by way of `ask`, an exchange; `problems` words what goes
wrong. A `template` for each exchange, kept on the `shelf`, makes the ccxt objects, which share what
`frozen` makes read-only; `guard` sits between ccxt and what exchanges send;
`classify` says what an error means. `paper` is a pretend exchange for the demo and the tests.
Nothing in here knows of the daemon.
"""
