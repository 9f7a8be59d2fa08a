"""Every setting there is -> one frozen object, once; every mistake is named, all together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from daemon.bridges.access import Access
from daemon.bridges.address import BadBridgeUrl, address
from daemon.every_setting import BRIDGE, RULES, SETTINGS, VARIABLES, Setting
from daemon.sources import Found, Source, Sources, exposed
from daemon.vault import Keyring
from reconciler.model import BridgeName, Secret
from reconciler.routes import MAIN, Routes
from reconciler.rules import Rules
from reconciler.slots import canonical

T = TypeVar("T")
EMBEDDED = Secret("embedded")
"""The database URL of who has none: a PostgreSQL of our own below the state directory."""
OURS = "ours"
"""The bridge URL of who has none: our own Trading Bridge, started by the daemon."""


class BadSettings(ValueError):
    """Settings that cannot be used: one line each, naming its place and what is expected."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """How one bridge is reached, and which keys go there. Secrets do not print."""

    name: BridgeName
    url: str = OURS
    access: Access = field(default_factory=Access)
    plain_http: bool = False
    concurrency: int | None = None
    default: bool = False
    exchanges: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()

    @property
    def catches_all(self) -> bool:
        return not self.exchanges and not self.clients


@dataclass(frozen=True, slots=True)
class Settings:
    """What one daemon needs to know. Secrets do not print."""

    database_url: Secret = EMBEDDED
    listen_url: Secret | None = None
    """Where LISTEN goes; None: where everything goes; empty: nowhere."""
    keyring: Keyring | None = field(default=None, repr=False)
    """None: the one that the state directory keeps."""
    bridges: tuple[BridgeSettings, ...] = (BridgeSettings(MAIN),)
    state_dir: Path | None = None
    health_host: str = "127.0.0.1"
    health_port: int = 9464
    api_host: str = "127.0.0.1"
    api_port: int = 9465
    api_proxies: frozenset[str] = frozenset()
    """Who is believed when they say for whom they ask, and how that one came."""
    log_json: bool | None = None
    """None: words on a terminal, JSON elsewhere."""
    log_level: str = "INFO"
    history_days: int = 30
    audit_days: int = 400
    first_token: Secret | None = None
    """Opens the API for an admin, if the database knows no token yet."""
    balances: timedelta = timedelta(seconds=5)
    """How long an exchange may take to tell a client's balances, before the others are shown."""
    poll: timedelta = timedelta(seconds=5)
    """Between two looks while LISTEN is away, and at the database."""
    webhook_url: Secret | None = None
    """Where owners are told when a key is parked or has recovered."""
    webhook_secret: Secret | None = None
    webhook_ca_file: Path | None = None
    webhook_pause: timedelta = timedelta(minutes=10)
    """Between two messages about one key, at the least."""
    console_url: str | None = None
    """Where people reach the console, for links to it."""
    rules: Rules = field(default_factory=Rules)

    @property
    def routes(self) -> Routes:
        return routes_of(self.bridges)

    def rules_of(self, bridge: BridgeSettings) -> Rules:
        """Return the numbers of the engine for one bridge."""
        if bridge.concurrency is None:
            return self.rules
        return replace(self.rules, concurrency=bridge.concurrency)


def read(environment: Mapping[str, str], kind: type[T]) -> T:
    """Return *kind*, a dataclass with some of the fields of `Settings`. Raises BadSettings."""
    try:
        sources = Sources.of(environment)
    except ValueError as error:
        raise BadSettings(str(error)) from None
    mistakes: list[str] = []
    wanted = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    needed = [name for name, each in wanted.items() if each.default is MISSING]
    found = _taken(sources.top, SETTINGS, wanted.keys() & SETTINGS.keys(), needed, mistakes)
    if "rules" in wanted:
        found["rules"] = _rules(sources.top, mistakes)
    if "bridges" in wanted:
        found["bridges"] = _bridges(sources, mistakes)
    if "keyring" in wanted and not found.get("keyring") and "database_url" in found:
        # a database of our own comes with a keyring; somebody else's does not
        mistakes += _lacking(sources.top, mistakes, "encryption_key", SETTINGS["keyring"].example)
    if found.get("webhook_url") and not found.get("webhook_secret"):
        mistakes += _lacking(sources.top, mistakes, "webhook_secret", _SIGNED)
    mistakes += [
        f"{place}: there is no such setting{_near(place, _KNOWN)}"
        for place in sources.top.unknown(_KNOWN)
    ]
    if mistakes:
        raise BadSettings("\n".join(mistakes))
    return kind(**found)


_SIGNED = "messages to a webhook are signed with it"
_NOTHING = "say what it shall be, or take it away"


def _lacking(source: Source, mistakes: Sequence[str], name: str, why: str) -> Iterator[str]:
    """Name what is needed because of another setting, unless it is complained of already."""
    if not any(name in mistake.lower() for mistake in mistakes):
        yield f"{source.missing(name)} is empty or not set: {why}"


def is_set(environment: Mapping[str, str], name: str) -> bool:
    """Tell whether *name*, such as "database_url", is set anywhere. Raises BadSettings."""
    try:
        return Sources.of(environment).top.find(name) is not None
    except ValueError as error:
        raise BadSettings(str(error)) from None


_SECRET = (
    *("encryption_key", "database_url", "listen_url", "first_token", "token", "password"),
    *("webhook_url", "webhook_secret"),
)


def open_files(environment: Mapping[str, str]) -> list[Path]:
    """Return the files with secrets that everybody on this machine may read. Raises BadSettings."""
    try:
        return exposed(Sources.of(environment), _SECRET)
    except ValueError as error:
        raise BadSettings(str(error)) from None


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that look like ours and set nothing, each with what may be meant.

    Those that Kubernetes makes for a Service of our name are none of them.
    """
    known = {*VARIABLES, *(f"BRIDGETENDER_{name.upper()}" for name in _KNOWN)}
    known |= {f"TRADING_BRIDGE_{name.upper()}" for name in BRIDGE}
    ours = [name for name in environment if name.startswith(("BRIDGETENDER_", "TRADING_BRIDGE_"))]
    return [
        f"{name}{_near(name, known)}"
        for name in sorted(ours)
        if name.removesuffix("_FILE") not in known and name not in known
        if not environment[name].startswith("tcp://") and "_SERVICE_" not in name
    ]


def _near(place: str, known: Sequence[str] | set[str]) -> str:
    near = get_close_matches(place.rsplit(" ", 1)[-1], known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


# -- taking ----------------------------------------------------------------------------------


def _taken(
    source: Source,
    settings: Mapping[str, Setting],
    wanted: Sequence[str] | set[str],
    needed: Sequence[str],
    mistakes: list[str],
) -> dict[str, Any]:
    """Return what *source* says of the *wanted* fields; put what is wrong into *mistakes*."""
    taken: dict[str, Any] = {}
    for name, setting in settings.items():
        if name not in wanted:
            continue
        try:
            found = source.find(setting.name)
            if found and found.said:
                taken[name] = _value(found, setting)
            elif name in needed or found:
                place = found.place if found else source.missing(setting.name)
                mistakes.append(f"{place} is empty or not set: {setting.example or _NOTHING}")
        except ValueError as error:
            mistakes.append(str(error))
    return taken


def _value(found: Found, setting: Setting) -> object:
    try:
        return setting.read(found.said)
    except ValueError as error:
        name = setting.name.upper()
        why = str(error).removeprefix(f"{name} ").removeprefix(f"{name}: ")
        raise ValueError(f"{found.place}: {why}") from None


def _rules(source: Source, mistakes: list[str]) -> Rules:
    taken = _taken(source, RULES, set(RULES), (), mistakes)
    if lease := taken.get("lease"):
        taken |= {"renew": lease / 3, "courtesy": lease * 2 / 3}
    return replace(Rules(), **taken)


def _bridges(sources: Sources, mistakes: list[str]) -> tuple[BridgeSettings, ...]:
    bridges = tuple(_bridge(name, source, mistakes) for name, source in sources.bridges.items())
    known = [f"TRADING_BRIDGE_{setting.name.upper()}" for setting in BRIDGE.values()]
    said = sources.top.environment
    ours = [n for k in known for n in (k, f"{k}_FILE") if said.get(n, "").strip()]
    if ours and MAIN not in sources.bridges:
        mistakes.append(
            f"{ours[0]}: is about the bridge 'main', and {sources.config} names others: say all of"
            " it there"
        )
    mistakes += _wrong_routes(bridges)
    return bridges


def _bridge(name: str, source: Source, mistakes: list[str]) -> BridgeSettings:
    taken = _taken(source, BRIDGE, set(BRIDGE), (), mistakes)
    mistakes += [
        f"{place}: there is no such setting{_near(place, [*BRIDGE])}"
        for place in source.unknown([*BRIDGE])
    ]
    access = Access(**{each: taken.pop(each) for each in _ACCESS & taken.keys()})
    bridge = BridgeSettings(BridgeName(name), access=access, **taken)
    mistakes += [f"{source.place(name)}: {why}" for name, why in _wrong(bridge)]
    return bridge


def _wrong(bridge: BridgeSettings) -> Iterator[tuple[str, str]]:
    """Yield what does not go together, with the field it is about."""
    try:
        if bridge.url != OURS:
            address(bridge.url, plain_http=bridge.plain_http)
    except BadBridgeUrl as error:
        yield "url", str(error)
    if not bridge.name.replace("-", "").replace("_", "").isalnum() or len(bridge.name) > 63:
        yield "url", "a bridge's name has letters, digits, - and _ only, at most 63 of them"
    access = bridge.access
    if access.token and (access.user or access.password):
        yield "token", "say either a token or user and password"
    if (access.user is None) != (access.password is None):
        yield "user", "user and password are set together"
    if access.key_file and not access.cert_file:
        yield "cert_file", "is missing beside key_file"


# -- which key goes where --------------------------------------------------------------------


def routes_of(bridges: Sequence[BridgeSettings]) -> Routes:
    """Return the routes of *bridges* that go together; see `_wrong_routes`."""
    return Routes(
        _defaults(bridges)[0],
        {client.lower(): bridge.name for bridge in bridges for client in bridge.clients},
        {canonical(name): bridge.name for bridge in bridges for name in bridge.exchanges},
    )


def _defaults(bridges: Sequence[BridgeSettings]) -> list[BridgeName]:
    """Return who may be the default: who says so, else who has no rule, else the only one."""
    said = [bridge.name for bridge in bridges if bridge.default]
    free = [bridge.name for bridge in bridges if bridge.catches_all]
    return said or free or [bridge.name for bridge in bridges if len(bridges) == 1]


def _wrong_routes(bridges: Sequence[BridgeSettings]) -> Iterator[str]:
    if len(_defaults(bridges)) != 1:
        names = ", ".join(f"[bridges.{bridge.name}]" for bridge in bridges)
        yield f"default: say 'default = true' in exactly one of {names}: it gets what no rule names"
    for bridge in bridges:
        if bridge.catches_all and bridge.name not in _defaults(bridges):
            yield f"[bridges.{bridge.name}]: gets no keys: give it exchanges or clients"
    if twice := [url for url, count in Counter(b.url for b in bridges).items() if count > 1]:
        said = "no URL, and only one can be our own" if OURS in twice else "the same URL"
        names = ", ".join(f"[bridges.{bridge.name}]" for bridge in bridges if bridge.url in twice)
        yield f"url: {names} have {said}: two bridges cannot be one"
    exchanges = Counter(canonical(name) for bridge in bridges for name in bridge.exchanges)
    clients = Counter(name.lower() for bridge in bridges for name in bridge.clients)
    for kind, counted in (("exchanges", exchanges), ("clients", clients)):
        twice = sorted(name for name, count in counted.items() if count > 1)
        if twice:
            yield f"{kind}: {', '.join(map(repr, twice))}: is named in more than one bridge"


_ACCESS = {each.name for each in fields(Access)}
_KNOWN = [each.name for each in (*SETTINGS.values(), *RULES.values())]
