"""What cannot be started here is said in one sentence that also names the way out."""

import re
from pathlib import Path

STAMP = re.compile(r"^\d{4}-\S+ \S+ \S+ \[\d+\] ")
TROUBLE = re.compile(r"(?i)fatal|panic|error|hint|could not|unrecognized|invalid")
FULL = ("No space left on device", "Disk quota exceeded")


class EmbeddedError(Exception):
    """A process of ours could not be started or kept; the message is meant for people."""


def last_words(output: str) -> str:
    """Return what a program complained of at its end, else its last lines, as one sentence."""
    lines = [STAMP.sub("", line).strip() for line in output.splitlines()[-30:] if line.strip()]
    return "; ".join([line for line in lines if TROUBLE.search(line)][-3:] or lines[-3:])


def failed(what: str, output: str, directory: Path) -> EmbeddedError:
    """Return the error of a program that failed while it wrote in *directory*."""
    words = last_words(output)
    return EmbeddedError(make_room(directory) if full(words) else f"{what}: {words}")


def full(words: str) -> bool:
    """Tell whether somebody complained that a disk is full."""
    return any(sign in words for sign in FULL)


def make_room(directory: Path) -> str:
    return (
        f"the disk that holds {directory} is full: make room on it and start again; what was"
        " committed is safe"
    )
