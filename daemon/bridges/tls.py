"""Whose certificates we believe, and which one is ours."""

import ssl
from pathlib import Path

import httpx
import structlog

from daemon.bridges.access import Access
from daemon.bridges.address import BadBridgeUrl

log = structlog.get_logger()
Stamp = tuple[tuple[int, ...] | None, ...]


class Trust:
    """What new connections use: made anew once its files are others. Raises BadBridgeUrl."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._taken = self._refused = self._stamp()
        self._context = tls_context(access)

    def context(self) -> ssl.SSLContext:
        """Return it. Files that will not do are told once, and the last ones that did are used."""
        if (found := self._stamp()) != self._taken:
            self._renew(found)
        return self._context

    def _renew(self, found: Stamp) -> None:
        try:
            self._context = tls_context(self._access)
        except BadBridgeUrl as error:
            if found != self._refused:
                log.warning("certificates_unusable", reason=str(error))
            self._refused = found
        else:
            self._taken = found
            log.info("certificates_taken", files=[str(file) for file in self._files()])

    def _files(self) -> list[Path]:
        access = self._access
        return [file for file in (access.ca_file, access.cert_file, access.key_file) if file]

    def _stamp(self) -> Stamp:
        return tuple(_dated(file) for file in self._files())


def _dated(file: Path) -> tuple[int, ...] | None:
    """Return what another file at that place, or other contents, would change."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def tls_context(access: Access) -> ssl.SSLContext:
    """Return what TLS needs. Raises BadBridgeUrl, which names the file that will not do."""
    if access.ca_file:
        context = _trusting(access.ca_file)
    else:
        context = httpx.create_ssl_context(trust_env=False)
    if access.cert_file:
        _identify(context, access.cert_file, access.key_file)
    return context


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
