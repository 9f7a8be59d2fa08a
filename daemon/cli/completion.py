"""`completion`: what a shell needs to complete this command."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined] # re-exported

from daemon.cli.app import COMPLETES
from daemon.cli.parts import command_app

app = command_app()


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="Whose.")]) -> None:
    """Print a script that completes commands, options and exchanges.

    For bash: bridgetender completion bash > ~/.local/share/bash-completion/completions/bridgetender
    """
    script = get_completion_script(
        prog_name="bridgetender", complete_var=COMPLETES, shell=shell.value
    )
    typer.echo(script)
