"""Reads the egress file; names everything that is wrong with it at once, and no password."""

import ipaddress
import re
import ssl
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from aiohttp import encode_basic_auth
from yarl import URL

from bridge.catalogue import canonical
from bridge.egress import Egress, Rule, Rules

FIELDS: Mapping[str, str] = {
    "name": "what people read, and what pacing counts by; default: the proxy's host and port",
    "account": "a pattern or a list of them, such as `client_*`; default: all",
    "exchange": "a name, a pattern or a list of them; default: all",
    "proxy": "`http://USER:PASSWORD@HOST:PORT`, `https://...`, or `direct`; the user is optional",
    "credentials_file": "a file that holds the proxy's `user:password`",
    "local_address": "the IP address of this machine to come from",
    "ca_file": "certificates to trust besides the usual ones, for the proxy and what is behind it",
}
_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,31}")
_HEADER = re.compile(r"(?m)^[ \t]*\[\[[ \t]*egress[ \t]*\]\]")


class BadEgress(Exception):
    """`problems` has a sentence for each thing that is wrong; none quotes a value of the file."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read(path: Path, exchanges: Collection[str]) -> Rules:
    """Return the rules of a file; *exchanges* are those that there are. Raises BadEgress."""
    try:
        text = path.read_text()
        found = tomllib.loads(text)
    except OSError as error:
        raise BadEgress([f"cannot be read: {error.strerror}"]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        place = re.search(r"\(at [^)]*\)$", str(error))
        raise BadEgress([f"is not TOML {place[0] if place else ''}".strip()]) from None
    return _Reader(path, text, exchanges).rules(found)


class _Reader:
    """Collects problems instead of stopping at the first."""

    def __init__(self, path: Path, text: str, exchanges: Collection[str]) -> None:
        self._path = path
        self._lines = [text.count("\n", 0, m.end()) + 1 for m in _HEADER.finditer(text)]
        self._exchanges = exchanges
        self._problems: list[str] = []
        self._place = ""
        self._secret_files = dict[Path, None]()

    def rules(self, found: Mapping[str, Any]) -> Rules:
        tables = found.get("egress")
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            raise BadEgress(["holds no [[egress]]"])
        for name in found.keys() - {"egress"}:
            self._problems.append(f"'{name}': expected nothing but [[egress]]")
        rules = tuple(self._rule(number, table) for number, table in enumerate(tables, 1))
        self._compare(rules)
        if self._problems:
            raise BadEgress(self._problems)
        return Rules(rules, tuple(self._secret_files))

    def _wrong(self, key: str, expected: str) -> None:
        self._problems.append(f"{self._place}: {key}: {expected}")

    def _at(self, number: int) -> None:
        known = len(self._lines) >= number
        line = f" (line {self._lines[number - 1]})" if known else ""
        self._place = f"[[egress]] {number}{line}"

    def _rule(self, number: int, table: Mapping[str, Any]) -> Rule:
        self._at(number)
        for key in table.keys() - FIELDS.keys():
            near = get_close_matches(key, FIELDS, n=1)
            self._wrong(f"'{key}'", f"expected {near[0] if near else ', '.join(FIELDS)}")
        return Rule(self._egress(table), self._patterns(table, "account"), self._of(table))

    def _compare(self, rules: tuple[Rule, ...]) -> None:
        ways: dict[str, Egress] = {}
        for number, rule in enumerate(rules, 1):
            self._at(number)
            if ways.setdefault(rule.egress.name, rule.egress) != rule.egress:
                self._wrong("name", "expected another: a different egress above has it")
            if any(earlier.leads_all for earlier in rules[: number - 1]):
                self._wrong("account, exchange", "never asked: a rule above is for everything")

    # -- who goes this way -------------------------------------------------------------------

    def _patterns(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        given = table.get(key, "*")
        listed = given if isinstance(given, list) else [given]
        if listed and all(isinstance(each, str) and each for each in listed):
            return tuple(listed)
        self._wrong(key, "expected a text, or a list of texts")
        return ("*",)

    def _of(self, table: Mapping[str, Any]) -> tuple[str, ...]:
        patterns = tuple(canonical(each) for each in self._patterns(table, "exchange"))
        for number, pattern in enumerate(patterns, 1):
            if not any(fnmatchcase(name, pattern) for name in self._exchanges):
                which = f" (number {number})" if len(patterns) > 1 else ""
                near = get_close_matches(pattern, self._exchanges, n=1)
                hint = f", perhaps {near[0]}" if near else ""
                self._wrong("exchange", f"expected one that this bridge knows{hint}{which}")
        return patterns

    # -- which way it is ---------------------------------------------------------------------

    def _egress(self, table: Mapping[str, Any]) -> Egress:
        proxy, inline = self._proxy(table)
        address = self._address(table)
        login = self._login(table, inline, proxied=proxy is not None)
        if not table.keys() & {"proxy", "local_address"}:
            self._wrong("proxy", "expected a URL or 'direct', or else a local_address")
        default = address or "direct" if proxy is None else f"{proxy.host}:{proxy.port}"
        name = table.get("name", default[:31])
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._wrong("name", "expected up to 31 letters, digits and . _ : -")
            name = default
        return Egress(name, proxy, login, address, self._ca_file(table))

    def _proxy(self, table: Mapping[str, Any]) -> tuple[URL | None, str | None]:
        """Return the URL without its user and password, and those."""
        given = table.get("proxy", "direct")
        if given == "direct":
            return None, None
        try:
            url = URL(given)
            usable = url.scheme in ("http", "https") and bool(url.host) and url.explicit_port
        except (TypeError, ValueError):
            usable = False
        if not usable or url.raw_path_qs.strip("/") or url.fragment:
            expected = "expected http://HOST:PORT, https://HOST:PORT or 'direct'"
            socks = isinstance(given, str) and given.lower().startswith("socks")
            self._wrong("proxy", expected + "; socks is not spoken here" * socks)
            return None, None
        inline = None if url.user is None else f"{url.user}:{url.password or ''}"
        return url.with_user(None).origin(), inline

    def _login(self, table: Mapping[str, Any], inline: str | None, *, proxied: bool) -> str | None:
        login = inline
        if "credentials_file" in table:
            if inline is not None:
                self._wrong("credentials_file", "expected no user in proxy beside it")
            elif not proxied and table.get("proxy", "direct") == "direct":
                self._wrong("credentials_file", "expected a proxy that it is for")
            login = self._file(table, "credentials_file")
        if login is None:
            return None
        self._secret_files[self._path if inline else Path(table["credentials_file"])] = None
        user, colon, password = login.strip().partition(":")
        if not user or not colon or not login.strip().isprintable():
            self._wrong("credentials_file", "expected one line, user:password")
            return None
        return encode_basic_auth(user, password, "utf-8")

    def _file(self, table: Mapping[str, Any], key: str) -> str | None:
        try:
            return Path(table[key]).read_text()
        except OSError as error:
            self._wrong(key, f"cannot be read: {error.strerror}")
        except (TypeError, ValueError):
            self._wrong(key, "expected the path of a text file")
        return None

    def _address(self, table: Mapping[str, Any]) -> str | None:
        given = table.get("local_address")
        if "local_address" not in table:
            return None
        try:
            return str(ipaddress.ip_address(given if isinstance(given, str) else ""))
        except ValueError:
            self._wrong("local_address", "expected an IP address of this machine")
            return None

    def _ca_file(self, table: Mapping[str, Any]) -> Path | None:
        if "ca_file" not in table:
            return None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(table["ca_file"])
            return Path(table["ca_file"])
        except (OSError, TypeError, ValueError):
            self._wrong("ca_file", "expected a readable file of PEM certificates")
            return None
