"""What a manifest starts, parsed by the very programs that it names; and programs that judge it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from bridge.__main__ import options
from daemon.cli.app import app
from daemon.settings import Settings
from reconciler.model import Secret

WEBHOOK = {
    "webhook_url": "https://firm.example/hook",
    "webhook_secret": "a-secret-of-some-length-for-signing",
}
"""The files that the page on the webhook asks for."""


def said_by(*command: str | Path) -> str:
    """Return what a program prints that has to end well."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def is_told(settings: Settings) -> bool:
    """Tell whether a daemon of these settings tells owners by that webhook."""
    url, secret = settings.webhook_url, settings.webhook_secret
    return [url, secret] == [Secret(text) for text in WEBHOOK.values()]


def parsed(words: Sequence[str]) -> Any:
    """Return the bridge's options, or a command's parameters.

    Raises SystemExit or TyperException for what would not start.
    """
    match words:
        case ["python", "-m", "bridge", *more]:
            return options().parse_args(more)
        case ["bridgetender", *more]:
            group: Any = typer.main.get_command(app)
            context = group.make_context("bridgetender", list(more))
            name, command, rest = group.resolve_command(context, list(more))
            return command.make_context(name, rest).params
        case _:
            raise AssertionError(f"not of ours: {words}")
