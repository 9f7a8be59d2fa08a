"""`backup`: what the embedded database holds, as one file."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.output import printable
from daemon.cli.parts import command_app
from daemon.cli.stateful import StateDir, in_words, state_of
from daemon.embedded.backup import back_up
from daemon.embedded.home import keyring_file, postgres_directory

app = command_app()


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write; - is stdout.")],
    *,
    state_dir: StateDir = None,
) -> None:
    """Write the embedded database to a file, as plain SQL. The daemon may run meanwhile.

    The encryption key is not in it: keep the file encryption-key of the state directory, or what
    ENCRYPTION_KEY says, as well, in another place. Without it nobody can read the stored keys.
    """
    state = state_of(state_dir)
    target = None if str(file) == "-" else file.resolve()
    with in_words():
        back_up(postgres_directory(state), target)
    told = (
        f"Wrote {target or 'it to stdout'}. The encryption key is NOT in it: keep"
        f" {keyring_file(state)}, or what ENCRYPTION_KEY says, as well, or nobody can read it."
    )
    typer.echo(printable(told), err=target is None)
