"""Processes as the kernel sees them: whose they are, and whether they are gone. Linux only."""

import sys
from contextlib import suppress
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def descendants(pid: int) -> set[int]:
    """Return all processes that *pid* started, and those that they did."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").glob("[0-9]*")}
    found, size = {pid}, 0
    while size < len(found):
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def running(pids: set[int]) -> set[int]:
    """Return those that run still: what waits to be reaped has ended."""
    return {pid for pid in pids if _state(pid) not in ("", "Z", "X")}


def is_stopped(pid: int) -> bool:
    return _state(pid) == "T"


def mentioning(words: str) -> list[str]:
    """Return the command lines of processes that have *words* in them or in their environment."""
    return [_said(path, "cmdline") for path in Path("/proc").glob("[0-9]*") if _names(path, words)]


def said_of(pid: int) -> str:
    """Return the command line and the environment of a process, as far as they may be read."""
    path = Path(f"/proc/{pid}")
    return _said(path, "cmdline") + _said(path, "environ")


def _names(path: Path, words: str) -> bool:
    return words in _said(path, "cmdline") or words in _said(path, "environ")


def _said(path: Path, name: str) -> str:
    with suppress(OSError):
        return (path / name).read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _fields(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _state(pid: int) -> str:
    return next(iter(_fields(pid)), "")


def _parent(path: Path) -> int:
    fields = _fields(int(path.name))
    return int(fields[1]) if fields else 0
