"""`new-key`: what ENCRYPTION_KEY wants."""

import typer

from daemon.cli.parts import command_app
from daemon.vault import new_key as make

app = command_app()


@app.command()
def new_key() -> None:
    """Print a new value for ENCRYPTION_KEY; keep it where only the daemon can read it."""
    typer.echo(make().reveal())
