"""`restore`: a backup becomes the embedded database."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.output import say
from daemon.cli.parts import command_app
from daemon.cli.stateful import StateDir, in_words, state_of
from daemon.cli.who import operator
from daemon.embedded.backup import restore as restored
from daemon.embedded.home import keyring_file, postgres_directory
from daemon.store.restored import distrust

app = command_app()


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that backup wrote; - is stdin.")],
    *,
    state_dir: StateDir = None,
) -> None:
    """Make a backup the embedded database, which must be empty or absent; never over data.

    All of it is restored or nothing. Every active key is initialized again at the next run, since
    the bridge may have been sent others after the backup. The encryption key is not in a backup.
    """
    state = state_of(state_dir)
    source = None if str(file) == "-" else file
    with in_words():
        restored(postgres_directory(state), source, distrust(operator()))
    say(f"Restored {source or 'stdin'} to {postgres_directory(state)}.")
    say(_of_the_key(keyring_file(state)))
    say("Then: bridgetender run. It initializes every active key again.")


def _of_the_key(path: Path) -> str:
    if path.exists():
        return f"The encryption key is not in a backup: {path} has to be the one of its time."
    return (
        f"The encryption key is NOT in it: put the one of its time into {path} (mode 0600), or set"
        " ENCRYPTION_KEY."
    )
