"""How commands on the embedded database find it, and put into words why they cannot."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.exits import Code, Trouble
from daemon.embedded.backup import Refusal
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.reached import state_of as state_of_settings
from daemon.settings import BadSettings, is_set

StateDir = Annotated[
    Path | None,
    typer.Option(help="The state directory; BRIDGETENDER_STATE_DIR, or the user's own."),
]


def state_of(chosen: Path | None) -> Path:
    """Return the state directory. Raises Trouble where the daemon uses a database elsewhere."""
    if chosen is not None:
        return chosen.absolute()
    with in_words():
        elsewhere, state = is_set(os.environ, "database_url"), state_of_settings(os.environ)
    if elsewhere:
        raise Trouble(
            "DATABASE_URL is set, and this is for the embedded database: use pg_dump and psql of"
            " that server, or say --state-dir"
        )
    return state


@contextmanager
def in_words() -> Iterator[None]:
    try:
        yield
    except (Refusal, BadSettings) as error:
        raise Trouble(str(error)) from None
    except EmbeddedError as error:
        raise Trouble(str(error), Code.DATABASE) from None
