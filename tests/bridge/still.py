"""A ccxt object to which no time passes and nothing happens by chance."""

from typing import Any

NOW = 1_900_000_000


def still(remote: Any) -> None:
    remote.seconds = remote.nonce = lambda: NOW
    remote.milliseconds = lambda: NOW * 1_000
    remote.microseconds = lambda: NOW * 1_000_000
    for chance in ("uuid", "uuid16", "uuid22"):
        setattr(remote, chance, lambda *_: "c" * 32)
    remote.random_bytes = lambda length: "c" * length
    remote.rand_number = lambda size: 10**size - 1
