"""The app: which commands there are, and what becomes of an error. Importing it costs little."""

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from daemon.cli.exits import Code, Trouble, table
from daemon.cli.output import printable
from daemon.entry import BadEntry


@dataclass(frozen=True, slots=True)
class _Command:
    """A command of --help; its *module*, which has an `app`, is imported when it is asked for."""

    module: str
    help: str


COMMANDS = {
    "demo": _Command("demo", "Watch keys become live connectors, on a stage of its own."),
    "run": _Command("run", "Run the daemon; the same as python -m daemon."),
    "reconcile": _Command("reconcile", "Do what is to be done until all is settled, and end."),
    "migrate": _Command("migrate", "Bring the database's tables to this version."),
    "status": _Command("status", "Say where every key stands, and why."),
    "plan": _Command("plan", "Say what the daemon would do next, and why; change nothing."),
    "explain": _Command("explain", "Walk one key from row to balance; name the first broken link."),
    "history": _Command("history", "Say what was tried, what came of it, and why."),
    "reinit": _Command("reinit", "Ask for keys to be initialized again."),
    "pause": _Command("pause", "Leave connectors as they are until they are resumed."),
    "resume": _Command("resume", "End a pause; everything it held goes on at once."),
    "config": _Command("config", "Check the settings, and what they lead to."),
    "clients": _Command("clients", "Add, list, change and delete clients."),
    "keys": _Command("keys", "Add, list, change and delete keys."),
    "token": _Command("token", "Make, list and revoke tokens for the API and the console."),
    "rotate": _Command("rotate", "Re-encrypt all that is stored with the first encryption key."),
    "backup": _Command("backup", "Write the embedded database to a file."),
    "restore": _Command("restore", "Make a backup the embedded database, if that is empty."),
    "new-key": _Command("new_key", "Make a value for ENCRYPTION_KEY."),
    "completion": _Command("completion", "Print a script for your shell to complete by."),
    "version": _Command("version", "Print the version."),
}


COMPLETES = "_BRIDGETENDER_COMPLETE"
"""Set by a shell that wants to know how a line might go on; typer reads it."""


class Lazy(TyperGroup):
    """Knows its commands by name, and imports the one that runs: --help waits for none."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=c.help) for name, c in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in COMMANDS:
            module = import_module(f"daemon.cli.{COMMANDS[args[0]].module}")
            self.commands[args[0]] = typer.main.get_command(module.app)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, TyperException, BrokenPipeError):
            raise  # typer knows best
        except typer.Abort:
            raise typer.Exit(Code.INTERRUPTED) from None
        except (Trouble, BadEntry) as error:
            code, words = getattr(error, "code", Code.USAGE), str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, people get a sentence
            code, words = Code.BUG, _unexpected(error)
        typer.echo("\n".join(map(printable, f"bridgetender: {words}".splitlines())), err=True)
        raise typer.Exit(code)


def _unexpected(error: Exception) -> str:
    from traceback import format_exception  # noqa: PLC0415 - for --help not to wait

    from daemon.scrub import scrubbed  # noqa: PLC0415

    if os.environ.get("BRIDGETENDER_DEBUG"):
        return scrubbed("".join(format_exception(error)))
    first = next(iter(str(error).splitlines()), "")
    return (
        f"unexpected {type(error).__name__}: {scrubbed(first)[:300]}\n"
        "Set BRIDGETENDER_DEBUG=1 to see where, and please report it."
    )


app = typer.Typer(
    cls=Lazy,
    name="bridgetender",
    help="Keeps every stored exchange API key a live connector in your Trading Bridge.",
    epilog=table(),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        from daemon.cli.version import version  # noqa: PLC0415 - for --help not to wait

        version()
        raise typer.Exit


@app.callback()
def _bridgetender(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command that `sys.argv` names, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name may not fit the terminal's code
    if COMPLETES in os.environ:
        # For a shell alone; typer re-exports it without saying so.
        from typer.completion import completion_init  # type: ignore[attr-defined] # noqa: PLC0415

        completion_init()
    app(prog_name="bridgetender")
