"""What happened, in lines that a person reads, and their hash."""

from hashlib import sha256

import anyio


class Trace:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, who: str, what: str) -> None:
        """Add a line: the virtual time as h:mm:ss.mmm, who did it, and what."""
        minutes, seconds = divmod(anyio.current_time(), 60)
        hours, minutes = divmod(int(minutes), 60)
        self.lines.append(f"{hours:3}:{minutes:02}:{seconds:06.3f}  {who:<12} {what}")

    def digest(self) -> str:
        return sha256("\n".join(self.lines).encode()).hexdigest()
