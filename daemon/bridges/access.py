"""Who we are at a bridge's door, and whose certificates we believe."""

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx

from daemon.bridges.address import BadBridgeUrl
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

    def context(self) -> ssl.SSLContext:
        """Return what TLS needs. Raises BadBridgeUrl, which names the file that will not do."""
        if self.ca_file:
            context = _trusting(self.ca_file)
        else:
            context = httpx.create_ssl_context(trust_env=False)
        if self.cert_file:
            _identify(context, self.cert_file, self.key_file)
        return context

    def _pair(self) -> str:
        password = self.password.reveal() if self.password else ""
        return base64.b64encode(f"{self.user}:{password}".encode()).decode()


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise BadBridgeUrl(f"ca_file: {_why(ca_file, error, 'holds no CA certificate')}") from None


def _identify(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    def ask() -> str:
        raise BadBridgeUrl(
            f"key_file: '{key_file or cert_file}' is encrypted: store it without a passphrase"
        )

    try:
        context.load_cert_chain(cert_file, key_file, ask)
    except (OSError, ssl.SSLError) as error:
        wrong = "holds no certificate with the key that belongs to it"
        raise BadBridgeUrl(f"cert_file: {_why(cert_file, error, wrong)}") from None


def _why(path: Path, error: OSError, otherwise: str) -> str:
    if isinstance(error, ssl.SSLError) or not error.strerror:
        return f"'{path}' {otherwise} in PEM"
    return f"'{error.filename or path}' cannot be read: {error.strerror}"
