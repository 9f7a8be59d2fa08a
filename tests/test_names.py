"""What the pages name is real: commands, settings, metrics, requests, files, words of the code."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import typer
from starlette.routing import compile_path

from bridge.__main__ import options
from bridge.metrics import Metrics as BridgeMetrics
from daemon.cli.app import COMMANDS
from daemon.every_setting import BRIDGE, RULES, SETTINGS, VARIABLES
from daemon.metrics import Metrics
from daemon.sources import Sources
from daemon.web.app import api_app

ROOT = Path(__file__).parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - {ROOT / "CHANGELOG.md"})
"""The changelog may name what is gone."""
SOURCES = [
    each
    for folder in ("bench", "bridge", "daemon", "deploy", "docs", "migrations", "reconciler")
    for each in sorted((ROOT / folder).glob("**/*"))
    if each.suffix in {".html", ".py", ".service", ".toml", ".yaml", ".yml"}
]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()  # type: ignore[index]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_command_on_a_page_is_one(page: Path) -> None:
    assert [line for line in code(page) for _ in wrong_commands(line)] == []


def test_every_command_that_a_message_names_is_one() -> None:
    quoted = re.compile(r"['`](bridgetender [a-z][^'`\n]*)")
    named = [(each.name, line) for each in SOURCES for line in quoted.findall(each.read_text())]
    assert [said for said in named for _ in wrong_commands(said[1])] == []
    assert len(named) > 20


@each_page
def test_every_module_that_is_run_is_one(page: Path) -> None:
    text = "\n".join(code(page))
    for name in re.findall(r"python3? -m ([\w.]+)", text):
        assert find_spec(name) or name in sys.stdlib_module_names, name
    known = {each for action in options()._actions for each in action.option_strings}
    for words in re.findall(r"python -m bridge (.*)", text):
        assert set(re.findall(r"--[a-z-]+", words)) <= known, words


@each_page
def test_every_target_of_make_is_one(page: Path) -> None:
    named = [target for line in code(page) for target in re.findall(r"\bmake ([a-z-]+)", line)]
    assert set(named) <= {*TARGETS}


def test_contributing_and_the_makefiles_help_know_every_target_and_benchmark() -> None:
    assert {*TARGETS} <= {*re.findall(r"^([a-z-]+):.* ## ", MAKEFILE, re.MULTILINE)}
    told = "\n".join(code(ROOT / "CONTRIBUTING.md"))
    assert {*TARGETS} - {"help", "clean"} <= {*re.findall(r"make ([a-z-]+)", told)}
    helped = re.search(r"^bench:.*\(BENCH=(.*)\)$", MAKEFILE, re.MULTILINE)
    assert helped
    benches = [each for each in ROOT.glob("bench/*.py") if "__main__" in each.read_text()]
    assert {*re.findall(r"\w+", helped[1])} - {"or"} == {each.stem for each in benches} - {
        "slow_bridge"  # serves the others
    }


@each_page
def test_every_variable_on_a_page_is_a_setting(page: Path) -> None:
    assert [name for name in named_variables(page) if not is_variable(name)] == []
    for rest in re.findall(r"`\.\.\.(_[A-Z_]+)`", page.read_text()):
        assert any(name.endswith(rest) for name in variables()), rest


def test_every_variable_in_a_source_is_a_setting() -> None:
    named = {(each.name, name) for each in SOURCES for name in named_variables(each)}
    assert [said for said in named if not is_variable(said[1])] == []


@each_page
def test_every_metric_is_measured(page: Path) -> None:
    words = {word for span in spans(page) for word in re.findall(r"\bbridgetender_[a-z_]+", span)}
    assert words <= metrics(Metrics().registry)


@each_page
def test_every_request_is_answered(page: Path) -> None:
    known = [(method, compile_path(path)[0]) for method, path in requests()]
    for line in code(page):
        for method, asked in re.findall(r"([A-Z]{3,6} )?[\w.:/]*?(/api/[^\s`?\"']+)", line):
            named = [path for verb, path in known if method.strip() in ("", verb)]
            assert any(path.match(asked) for path in named), f"{method}{asked}"


@each_page
def test_every_file_is_there(page: Path) -> None:
    ours = r"(?:bench|bridge|daemon|deploy|docs|migrations|reconciler|tests)/[\w./*-]*"
    for span in spans(page):
        for path in re.findall(rf"(?<![\w./-]){ours}", span):
            # what a page tells to make, and Kubernetes' word for a Deployment
            made = path.startswith(("deploy/secrets", "deploy/compose.override"))
            assert made or span.startswith("kubectl") or any(ROOT.glob(path.rstrip("/."))), path


@each_page
def test_every_word_of_the_code_is_in_the_code(page: Path) -> None:
    words = {word for span in spans(page) for word in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+", span)}
    series = {family.name for family, _ in BridgeMetrics("").described()}
    assert words - series - metrics(Metrics().registry) <= words_of_code()


# -- what pages say ---------------------------------------------------------------------------


def spans(page: Path) -> list[str]:
    """Return what stands between backticks in running text."""
    return re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    )


def code(page: Path) -> list[str]:
    """Return the spans, and the lines of the blocks, with those that go on put together."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [*spans(page), *(line for b in blocks for line in b.replace("\\\n", " ").splitlines())]


# Where our name is that of something else: a namespace, a unit, an image, a secret, a database.
COMMAND = re.compile(
    r"(?<!-[ndU] )(?<!deploy/)(?<!generic )(?<!status )(?<!-)\bbridgetender"
    r" (?=(?:--)?[a-z])([^`|&;>#)]*)"
)


def wrong_commands(line: str) -> Iterator[str]:
    """Yield each command in *line* that there is not, and each option that it has not."""
    for words in (said.replace("'", " ").split() for said in COMMAND.findall(line)):
        command = named(words[0])
        if command is None:
            if words[0] not in ("--help", "--version", "COMMAND"):
                yield words[0]
            continue
        rest, members = words[1:], getattr(command, "commands", {})
        if members and rest and not rest[0].startswith("-"):
            if rest[0] not in members:
                yield rest[0]
                continue
            command, rest = members[rest[0]], rest[1:]
        known = {"--help", *(each for param in command.params for each in param.opts)}
        known |= {each for param in command.params for each in param.secondary_opts}
        asked = (word.partition("=")[0].strip("\"',.:]") for word in rest)
        yield from (word for word in asked if word.startswith("--") and word not in known)


# -- what there is ----------------------------------------------------------------------------


@cache
def named(command: str) -> Any:
    if command not in COMMANDS:
        return None
    return typer.main.get_command(import_module(f"daemon.cli.{COMMANDS[command].module}").app)


@cache
def variables() -> frozenset[str]:
    """Return every variable of the environment, and what several begin with."""
    said = Sources.of({"BRIDGETENDER_CONFIG": ""})
    of_daemon = (*SETTINGS.values(), *RULES.values())
    top = [name for one in of_daemon for name in said.top.variables(one.name)]
    ours = [name for one in BRIDGE.values() for name in said.bridges["main"].variables(one.name)]
    return frozenset((*top, *ours, *VARIABLES))


def named_variables(place: Path) -> set[str]:
    pattern = r"(?<![\w$])(?:BRIDGETENDER|TRADING_BRIDGE)_[A-Z_]*[A-Z]"
    return set(re.findall(pattern, place.read_text()))


def is_variable(name: str) -> bool:
    """Tell whether *name* is one, a file that holds one, or what several begin with."""
    known = {*variables(), *(f"{each}_FILE" for each in variables())}
    return name in known or any(each.startswith(f"{name}_") for each in known)


def metrics(registry: Any) -> set[str]:
    """Return the names of series and of what they are made of."""
    found = {name for names in registry._collector_to_names.values() for name in names}
    return {name for name in found if not name.endswith("_created")}


@cache
def requests() -> frozenset[tuple[str, str]]:
    """Return the methods and paths of the API."""
    paths = api_app(MagicMock()).openapi()["paths"].items()
    answered = {(method.upper(), path) for path, methods in paths for method in methods}
    return frozenset({*answered, ("GET", "/api/openapi.json")})


@cache
def words_of_code() -> frozenset[str]:
    text = "\n".join(each.read_text() for each in (*SOURCES, *ROOT.glob("tests/**/*.py")))
    return frozenset(re.findall(r"\w+", text))
