"""`run`: the daemon, as a command."""

import typer

from daemon.__main__ import main
from daemon.cli.parts import command_app

app = command_app()


@app.command()
def run() -> None:
    """Run the daemon until SIGTERM or Ctrl-C; the same as python -m daemon."""
    raise typer.Exit(main())
