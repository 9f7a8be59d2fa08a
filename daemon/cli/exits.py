"""Every exit code of the command, and the exception that carries one out."""

from enum import IntEnum


class Code(IntEnum):
    OK = 0
    UNSETTLED = 1
    USAGE = 2
    NOT_LIVE = 3
    DATABASE = 4
    BRIDGE = 5
    NOT_FOUND = 6
    BUG = 70
    INTERRUPTED = 130


MEANINGS = {
    Code.OK: "done; for status, explain and reconcile: all is live",
    Code.UNSETTLED: "not settled: something is still to be done, or nobody is there to do it",
    Code.USAGE: "wrong usage, setting or entry; nothing was changed",
    Code.NOT_LIVE: "settled, but not all is live",
    Code.DATABASE: "the database is away, not migrated, or says no",
    Code.BRIDGE: "the bridge is away",
    Code.NOT_FOUND: "no such client, key, slot or bridge",
    Code.BUG: "a mistake of this program: BRIDGETENDER_DEBUG=1 shows where",
    Code.INTERRUPTED: "interrupted",
}


class Trouble(Exception):
    """The command ends here, with words for a person and an exit code."""

    def __init__(self, message: str, code: Code = Code.USAGE) -> None:
        super().__init__(message)
        self.code = code


def table() -> str:
    """Return the codes for --help; click leaves a paragraph alone that begins like this."""
    lines = [f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(("\b", "Exit codes:", *lines))
