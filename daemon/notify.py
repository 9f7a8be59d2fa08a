"""Tells systemd how we are, where it asked to be told (NOTIFY_SOCKET, WATCHDOG_USEC)."""

import os
import socket
from time import clock_gettime_ns

_CLOCK = 1  # CLOCK_MONOTONIC, which systemd compares reloads by


def notify(*lines: str) -> None:
    """Send *lines*, such as "READY=1"; do nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    place = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto("\n".join(lines).encode(), place)
        except OSError:
            return  # a supervisor that is gone needs no news


def reloading() -> None:
    """Say that a reload has begun; READY=1 ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(_CLOCK) // 1_000}")


def watchdog_pause() -> float | None:
    """Return the seconds between two signs of life, half of what is asked; None: nobody asks."""
    asked, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not asked.isdecimal() or pid not in (None, str(os.getpid())):
        return None
    return int(asked) / 2_000_000
