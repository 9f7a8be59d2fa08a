"""Tells systemd that the bridge is ready, turns, and stops, where it asked to be told."""

import os
import socket
import time


def notify(line: str) -> None:
    """Send *line*, such as "READY=1"; do nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    place = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(line.encode(), place)
        except OSError:
            return  # a supervisor that is gone needs no news


class Watchdog:
    """Fed by the event loop's own turns, twice as often as is asked (WATCHDOG_USEC)."""

    def __init__(self) -> None:
        asked = os.environ.get("WATCHDOG_USEC", "")
        self._every = int(asked) / 2_000_000 if asked.isdecimal() else None
        self._next = 0.0

    def feed(self) -> None:
        now = time.monotonic()
        if self._every is not None and now >= self._next:
            notify("WATCHDOG=1")
            self._next = now + self._every
