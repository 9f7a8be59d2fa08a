"""Draws reference.md from the command: `python -m docs.draw_reference > docs/reference.md`."""

from collections.abc import Iterator
from importlib import import_module
from inspect import cleandoc
from typing import Any

import typer

from daemon.cli.app import COMMANDS
from daemon.cli.exits import MEANINGS

HEAD = """# Commands

Every command, drawn from the code by `python -m docs.draw_reference`. `bridgetender COMMAND --help`
says the same. What they need to know comes from the [settings](settings.md); secrets are never
arguments. With `--json` exactly one document is printed on stdout; warnings go to stderr.

## Exit codes

| code | means |
|---|---|
"""


def page() -> str:
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return HEAD + codes + "".join(section for name in COMMANDS for section in _sections(name))


def _sections(name: str) -> Iterator[str]:
    module = import_module(f"daemon.cli.{COMMANDS[name].module}")
    command: Any = typer.main.get_command(module.app)
    members = getattr(command, "commands", None)
    if members is None:
        yield _section(f"bridgetender {name}", command)
        return
    yield f"\n## bridgetender {name}\n\n{command.help}\n"
    for member, each in members.items():
        yield _section(f"bridgetender {name} {member}", each, level=3)


def _section(words: str, command: Any, *, level: int = 2) -> str:
    context = command.make_context(words, [], resilient_parsing=True)
    usage = " ".join((words, *command.collect_usage_pieces(context)))
    rows = [param.get_help_record(context) for param in command.params]
    said = "".join(f"| `{_cell(name)}` | {_cell(text)} |\n" for name, text in filter(None, rows))
    table = f"\n| argument or option | means |\n|---|---|\n{said}" if said else ""
    text = cleandoc(command.help or "")
    return f"\n{'#' * level} {words}\n\n```\n{usage}\n```\n\n{text}\n{table}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
