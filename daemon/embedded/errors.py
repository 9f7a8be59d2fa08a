"""What cannot be started here is said in one sentence that also names the way out."""

import re

STAMP = re.compile(r"^\d{4}-\S+ \S+ \S+ \[\d+\] ")
TROUBLE = re.compile(r"(?i)fatal|panic|error|hint|could not|unrecognized|invalid")


class EmbeddedError(Exception):
    """A process of ours could not be started or kept; the message is meant for people."""


def last_words(output: str) -> str:
    """Return what a program complained of at its end, else its last lines, as one sentence."""
    lines = [STAMP.sub("", line).strip() for line in output.splitlines()[-30:] if line.strip()]
    return "; ".join([line for line in lines if TROUBLE.search(line)][-3:] or lines[-3:])
