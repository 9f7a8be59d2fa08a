"""By which way out exchanges are asked: rules by account and exchange, the first match wins.

A firm gives exchanges a list of addresses that its keys may be used from, and owns several.
"""

import errno
import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import aiohttp
from yarl import URL

from bridge.catalogue import TESTNET


@dataclass(frozen=True, slots=True)
class Egress:
    """A way out: by *proxy* (without user and password, which are in *authorization*) or direct.

    `name` is what people read, and what pacing goes by: exchanges count by address.
    """

    name: str
    proxy: URL | None = None
    authorization: str | None = field(default=None, repr=False)
    local_address: str | None = None
    ca_file: Path | None = None

    @property
    def proxy_headers(self) -> dict[str, str]:
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


DIRECT = Egress("direct")


@dataclass(frozen=True, slots=True)
class Rule:
    """*accounts* and *exchanges* are patterns with `*`, `?` and `[...]`; any may match."""

    egress: Egress
    accounts: tuple[str, ...] = ("*",)
    exchanges: tuple[str, ...] = ("*",)

    def leads(self, exchange: str, account: str | None) -> bool:
        """Tell whether it is for this connector; *account* None is what no account asks for."""
        names = (exchange, exchange.removesuffix(TESTNET))
        return any(fnmatchcase(n, p) for n in names for p in self.exchanges) and (
            "*" in self.accounts
            if account is None
            else any(fnmatchcase(account, p) for p in self.accounts)
        )

    @property
    def leads_all(self) -> bool:
        return "*" in self.accounts and "*" in self.exchanges


@dataclass(frozen=True, slots=True)
class Rules:
    """`secret_files` are those in which proxies' passwords were found."""

    rules: tuple[Rule, ...] = ()
    secret_files: tuple[Path, ...] = ()

    def choose(self, exchange: str, account: str | None = None) -> Egress:
        """Return the way for an account's connector, or for what an exchange tells anybody."""
        found = (rule.egress for rule in self.rules if rule.leads(exchange, account))
        return next(found, DIRECT)

    def all(self) -> frozenset[Egress]:
        return frozenset({DIRECT, *(rule.egress for rule in self.rules)})


NO_RULES = Rules()


def blame(egress: Egress, error: Exception) -> str | None:
    """Say what is wrong with *egress*, None if *error* may be anybody's; never the key's fault."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno == errno.EADDRNOTAVAIL:
        return _worded(egress, "its local_address is not an address of this machine")
    if isinstance(error, aiohttp.ClientSSLError) and egress != DIRECT:
        return _worded(egress, f"no trusted TLS connection: {_of_tls(error)}")
    return None if egress.proxy is None else _worded(egress, _of_proxy(error))


def _worded(egress: Egress, what: str) -> str:
    return f"egress '{egress.name}': {what}"


def _of_proxy(error: Exception) -> str:
    match error:
        case aiohttp.ClientHttpProxyError(status=407):
            return "its proxy does not accept our user and password (407)"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"its proxy does not lead there (it answered {status})"
        case aiohttp.ClientConnectorDNSError():
            return "the name of its proxy cannot be resolved"
        case aiohttp.ClientProxyConnectionError(errno=int(number)):
            return f"its proxy cannot be reached: {os.strerror(number).lower()}"
        case TimeoutError():
            return "no answer in time by way of its proxy"
        case _:
            return "the connection by way of its proxy broke"


def _of_tls(error: aiohttp.ClientSSLError) -> str:
    cause = getattr(error, "certificate_error", None)
    said = getattr(cause, "verify_message", None)
    return str(said) if said else "the other side does not speak it as it should"
