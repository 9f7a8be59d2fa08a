"""Whose certificates we believe, and which one is ours."""

import ssl
from pathlib import Path

import httpx

from daemon.bridges.access import Access
from daemon.bridges.address import BadBridgeUrl


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
