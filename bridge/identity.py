"""The certificate that the bridge shows, and its key: taken anew when their files change."""

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography.x509 import load_pem_x509_certificates

LOOK_S = 1.0
"""Seconds between two looks at the files, by their dates and sizes."""

log = structlog.get_logger()
Stamp = tuple[tuple[int, ...] | None, ...]


class Identity:
    """Whoever serves by `context` calls `look` as often as it likes. Raises OSError, ValueError."""

    def __init__(self, cert: Path, key: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._cert, self._key, self._now = cert, key, now
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.expires = 0.0
        self._taken: Stamp | None = self._stamp()
        self._refused: Stamp | None = None
        self._next = 0.0
        self._take()

    def look(self) -> None:
        """Take the files if they are others now. Those that will not do are told once."""
        now = self._now()
        if now < self._next:
            return
        self._next = now + LOOK_S
        if (found := self._stamp()) != self._taken:
            self._renew(found)

    def hurry(self) -> None:
        """Take the files at the next look, changed or not."""
        self._taken = self._refused = None
        self._next = 0.0

    def _renew(self, found: Stamp) -> None:
        try:
            self._take()
        except (OSError, ValueError) as error:
            if found != self._refused:
                log.warning("certificate_unusable", reason=str(error), **self._told())
            self._refused = found
        else:
            self._taken = found
            log.info("certificate_taken", **self._told())

    def _take(self) -> None:
        """Raises OSError or ValueError."""
        # Tried out first: a pair that does not fit would leave the living one without a key.
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        expires = load_pem_x509_certificates(self._cert.read_bytes())[0].not_valid_after_utc
        self._load(self.context)
        self.expires = expires.timestamp()

    def _load(self, context: ssl.SSLContext) -> None:
        # Without a passphrase to give, OpenSSL would ask the terminal.
        context.load_cert_chain(self._cert, self._key, password=lambda: "")

    def _told(self) -> dict[str, str]:
        """Return what is told of the certificate in use."""
        return {"file": str(self._cert), "expires": f"{datetime.fromtimestamp(self.expires, UTC)}"}

    def _stamp(self) -> Stamp:
        return tuple(_dated(file) for file in (self._cert, self._key))


def _dated(file: Path) -> tuple[int, ...] | None:
    """Return what another file at that place, or other contents, would change."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns
