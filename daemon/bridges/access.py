"""Who we are at a bridge's door, and whom we believe there."""

import base64
from dataclasses import dataclass
from pathlib import Path

from reconciler.model import Secret


@dataclass(frozen=True, slots=True)
class Access:
    """A bearer *token*, or *user* and *password*; a CA and a client certificate of one's own.

    With *ca_file* no other CA is believed. *proxy* is used only if it is set here: the environment
    is not asked.
    """

    token: Secret | None = None
    user: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    proxy: Secret | None = None

    def authorization(self) -> str | None:
        """Return what the header of that name says."""
        if self.token:
            return f"Bearer {self.token.reveal()}"
        if self.user is not None and self.password is not None:
            return f"Basic {self._pair()}"
        return None

    def secrets(self) -> tuple[str, ...]:
        """Return what a bridge may echo and nobody may read."""
        known = [each.reveal() for each in (self.token, self.password) if each]
        return (*known, self._pair()) if self.password else tuple(known)

    def _pair(self) -> str:
        password = self.password.reveal() if self.password else ""
        return base64.b64encode(f"{self.user}:{password}".encode()).decode()
