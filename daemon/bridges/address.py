"""Where a bridge may be: an address is read here, and refused where it would not be safe."""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

UNIX: Final = "unix:"


class BadBridgeUrl(ValueError):
    """A bridge's address that cannot be used. Its text is meant for the operator."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a bridge listens: *base* ends in a slash; *uds* is the socket's path, if it is one."""

    base: str
    uds: str | None = None


def address(url: str, *, plain_http: bool = False) -> Address:
    """Read `https://...`, `unix:/path`, or `http://...` if that is loopback or *plain_http*.

    Raises BadBridgeUrl.
    """
    if url.startswith(UNIX):
        return Address("http://bridge/", _socket(url))
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        raise BadBridgeUrl("a bridge's URL is not a URL at all") from None
    # No URL with a password in it is ever printed.
    if parts.username or parts.password:
        raise BadBridgeUrl("a bridge's URL holds a user or password: give credentials apart")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadBridgeUrl(f"{url!r}: expected https://..., http://... or unix:/path/to/socket")
    if not port_is_one or any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
        raise BadBridgeUrl(f"{url!r}: holds a blank or a port that is none")
    if parts.query or parts.fragment:
        raise BadBridgeUrl(f"{url!r}: a bridge's URL has no query and no fragment")
    if parts.scheme == "http" and not (plain_http or is_loopback(parts.hostname)):
        raise BadBridgeUrl(f"{url!r} would carry secrets unencrypted: use https, or set plain_http")
    return Address(url.rstrip("/") + "/")


def _socket(url: str) -> str:
    path = url.removeprefix(UNIX)
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/"):
        raise BadBridgeUrl(f"{url!r}: expected unix:/path/to/socket, with the whole path")
    return path


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
