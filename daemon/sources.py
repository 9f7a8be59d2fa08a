"""Where a setting's text is found: the environment, a file it names, a credential, a TOML file."""

import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

CONFIG = "BRIDGETENDER_CONFIG"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
DEFAULT_CONFIG = Path("/etc/bridgetender/config.toml")


@dataclass(frozen=True, slots=True)
class Found:
    """What a setting is, and its *place* in words for people."""

    place: str
    said: str | Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """The places in which settings of one kind are looked for; the environment goes first.

    *prefix* is that of the environment's names, None if it sets nothing here; *plain* are those
    that need none. *credential* is the prefix of files in systemd's directory of credentials.
    *table* is the part of the TOML file, whose *title* begins each place in it.
    """

    environment: Mapping[str, str] = field(repr=False)
    prefix: str | None
    credential: str
    table: Mapping[str, Any] = field(default_factory=dict, repr=False)
    title: str = ""
    plain: frozenset[str] = frozenset()

    def find(self, name: str) -> Found | None:
        """Return what *name*, such as "health_port", is set to. Raises ValueError, with a place."""
        return self._in_environment(name) or self._in_credentials(name) or self._in_table(name)

    def file(self, name: str, config: Path | None) -> Path | None:
        """Return the file that says *name*, if one does; *config* is the TOML file."""
        for variable in self.variables(name):
            if path := self.environment.get(f"{variable}_FILE", "").strip():
                return Path(path)
            if self.environment.get(variable, "").strip():
                return None
        if isinstance(named := self.table.get(f"{name}_file"), str):
            return Path(named)
        # A URL beside other settings need not hold a password; one in a file of its own does.
        return config if name in self.table and not name.endswith("_url") else None

    def place(self, name: str) -> str:
        """Return where *name* is set, or could be."""
        found = self.find(name)
        return found.place if found else self.missing(name)

    def missing(self, name: str) -> str:
        """Return the place to name where *name* is missing."""
        if self.table:
            return f"{self.title}{name}"
        for variable in self.variables(name):
            return f"{variable} (or {variable}_FILE)"
        return f"{self.title}{name}"

    def unknown(self, known: Sequence[str]) -> list[str]:
        """Return the places in the TOML table that no setting is called."""
        names = {*known, *(f"{name}_file" for name in known)}
        return [f"{self.title}{name}" for name in self.table if name not in names]

    def _in_environment(self, name: str) -> Found | None:
        for variable in self.variables(name):
            text, path = (
                self.environment.get(variable, ""),
                self.environment.get(f"{variable}_FILE"),
            )
            if text.strip() and path is not None:
                raise ValueError(f"{variable} and {variable}_FILE are both set: take one away")
            if path is not None:
                return Found(f"{variable}_FILE ({path})", _contents(f"{variable}_FILE", path))
            if text.strip():
                return Found(variable, text.strip())
        return None

    def variables(self, name: str) -> Sequence[str]:
        """Return the environment's names for *name*, the one that people know first."""
        plain = [name.upper()] if name in self.plain else []
        return plain if self.prefix is None else [*plain, f"{self.prefix}{name.upper()}"]

    def _in_credentials(self, name: str) -> Found | None:
        directory = self.environment.get(CREDENTIALS)
        path = Path(directory) / f"{self.credential}{name}" if directory else None
        if path is None or not path.exists():
            return None
        place = f"credential {path.name}"
        if name.endswith("_file"):
            return Found(place, str(path))
        return Found(place, _contents(place, str(path)))

    def _in_table(self, name: str) -> Found | None:
        place = f"{self.title}{name}"
        path = self.table.get(f"{name}_file")
        if path is not None and name in self.table:
            raise ValueError(f"{place} and {place}_file are both set: take one away")
        if path is not None:
            if not isinstance(path, str):
                raise ValueError(f"{place}_file: is not the path of a file")
            return Found(f"{place}_file ({path})", _contents(f"{place}_file", path))
        if name not in self.table:
            return None
        return Found(place, _as_said(place, self.table[name]))


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that was said: *top* for the daemon, *bridges* by name, in the file's order."""

    top: Source
    bridges: Mapping[str, Source]
    config: Path | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the TOML file, if there is one. Raises ValueError."""
        config = _config(environment)
        said = _toml(config) if config else {}
        title = f"{config}: " if config else ""
        tables = said.pop("bridges", {})
        if not _is_of_tables(tables):
            raise ValueError(f"{title}bridges: each bridge is a table of its own: [bridges.NAME]")
        plain = frozenset({"database_url", "encryption_key"})
        top = Source(environment, "BRIDGETENDER_", "", said, title, plain)
        bridges = {
            name: Source(environment, _prefix(name), f"bridge-{name}-", table, _title(title, name))
            for name, table in (tables or {"main": {}}).items()
        }
        return cls(top, bridges, config)


def exposed(sources: Sources, secret: Sequence[str]) -> list[Path]:
    """Return the files that say one of the *secret* settings and that everybody may read.

    Those in systemd's directory of credentials are not looked at: they are for us alone.
    """
    every = (sources.top, *sources.bridges.values())
    said = (each.file(name, sources.config) for each in every for name in secret)
    return [path for path in dict.fromkeys(filter(None, said)) if _is_exposed(path)]


def _is_exposed(path: Path) -> bool:
    """Tell whether *path* is open to all, and so is every directory on the way."""
    try:
        found = path.resolve(strict=True)
        return bool(found.stat().st_mode & stat.S_IROTH) and all(
            parent.stat().st_mode & stat.S_IXOTH for parent in found.parents
        )
    except OSError:
        return False  # who reads it will say so


def _prefix(bridge: str) -> str | None:
    """The environment can set the bridge that is there when none is named."""
    return "TRADING_BRIDGE_" if bridge == "main" else None


def _title(title: str, bridge: str) -> str:
    return f"{title}[bridges.{bridge}] "


def _config(environment: Mapping[str, str]) -> Path | None:
    if CONFIG in environment:
        return Path(environment[CONFIG]) if environment[CONFIG].strip() else None
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_contents(str(path), str(path)))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: is not TOML: {error}") from None


def _is_of_tables(said: object) -> bool:
    return isinstance(said, dict) and all(isinstance(table, dict) for table in said.values())


def _contents(place: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a text file"
        raise ValueError(f"{place}: {path!r} cannot be read: {why}") from None


def _as_said(place: str, value: object) -> str | Sequence[str]:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value.strip()
        case int() | float():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return [item.strip() for item in value]
        case _:
            raise ValueError(f"{place}: is neither text, a number, true, false nor a list of texts")
