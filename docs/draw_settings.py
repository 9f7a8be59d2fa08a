"""Draws settings.md from the code: `python -m docs.draw_settings > docs/settings.md`."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from daemon.bridges.access import Access
from daemon.every_setting import BRIDGE, RULES, SETTINGS, VARIABLES, Setting
from daemon.reload import CHANGES
from daemon.settings import BridgeSettings, Settings
from daemon.sources import CONFIG, DEFAULT_CONFIG, Source, Sources
from daemon.values import Seconds, Whole
from daemon.words import span
from reconciler.rules import OTHERS, RATE, RATES, Rules

HEAD = f"""# Settings

Every setting there is, drawn from the code by `python -m docs.draw_settings`. A setting comes from
the first of these that has it:

1. the environment, under the name below, or `NAME_FILE`, a file that holds the value;
2. systemd's credentials (`$CREDENTIALS_DIRECTORY`), a file called like the setting in the TOML
   file, such as `encryption_key` or `bridge-main-token`;
3. the TOML file that `BRIDGETENDER_CONFIG` names, else `{DEFAULT_CONFIG}` if there is one.
   A setting there is called as below in lower case, without `BRIDGETENDER_`; `name_file` works too.

Every mistake is named at start, all together, with its place and what is expected; exit code 2.
`bridgetender config check` does the same, and asks database and bridges whether they answer.
Names that end in `_SECONDS` or `_DAYS` take plain numbers. `SIGHUP` reads files and the TOML file
anew; a ✓ says that a change takes effect by that, the others want a restart. So do systemd's
credentials, which stay what they were at the start.

## The daemon

"""
ENGINE = """
## The engine

How fast and how often; `SIGHUP` does for all of them.

"""
A_BRIDGE = """
## A bridge

These variables set the one bridge called `main`. In the TOML file several may be named, each in a
table `[bridges.NAME]` and without `TRADING_BRIDGE_`: [an example](operations.md#bridges). `SIGHUP`
does for all of them.

"""
ELSE = """
## Variables only

| name | meaning |
|---|---|
"""
UNITS = {"seconds": " s", "days": " days"}


def page() -> str:
    said = Sources.of({CONFIG: ""})
    engine = _defaults(Rules) | {"rates": {**RATES, OTHERS: RATE}}
    return (
        HEAD
        + _table(SETTINGS, said.top, _defaults(Settings), by_reload=CHANGES)
        + ENGINE
        + _table(RULES, said.top, engine)
        + A_BRIDGE
        + _table(BRIDGE, said.bridges["main"], _defaults(Access) | _defaults(BridgeSettings))
        + ELSE
        + "".join(f"| `{name}` | {means} |\n" for name, means in VARIABLES.items())
    )


def _defaults(kind: type[Any]) -> dict[str, object]:
    return {each.name: each.default for each in fields(kind)}


def _table(
    settings: Mapping[str, Setting],
    source: Source,
    defaults: Mapping[str, object],
    by_reload: Collection[str] | None = None,
) -> str:
    """Return a row for each of *settings*; *by_reload* adds a column."""
    columns = ["name", "meaning", "from, to", "default"]
    lines = [columns if by_reload is None else [*columns, "`SIGHUP`"]]
    lines.append(["---"] * len(lines[0]))
    for field, setting in settings.items():
        cells = [f"`{source.variables(setting.name)[0]}`", setting.means, _range(setting)]
        cells.append(setting.unset or _plain(defaults[field], _unit(setting)))
        lines.append(cells if by_reload is None else [*cells, "✓" if field in by_reload else ""])
    return "".join(f"| {' | '.join(cells)} |\n".replace("  ", " ") for cells in lines)


def _unit(setting: Setting) -> str:
    return UNITS.get(setting.name.rpartition("_")[2], "")


def _range(setting: Setting) -> str:
    match setting.read:
        case Whole(low, high) | Seconds(low, high):
            return f"{low} to {high}{_unit(setting)}"
    return ""


def _plain(default: object, unit: str) -> str:
    """Return *default* as one would set it; what is empty says nothing."""
    match default:
        case timedelta():
            seconds, words = f"{default.total_seconds():g} s", span(default)
            return seconds if seconds == words else f"{seconds} ({words})"
        case Mapping():
            return f"`{', '.join(f'{name}={rate:g}' for name, rate in default.items())}`"
        case None | False | frozenset():
            return ""
        case int():
            return f"{default}{unit}"
        case _:
            return f"`{default}`"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
