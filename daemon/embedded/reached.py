"""How commands find the database and the bridge that a daemon of this machine brought along."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.home import bridge_log, keyring_file, postgres_directory, state_directory
from daemon.embedded.postgres import listening
from daemon.embedded.sockets import near
from daemon.settings import is_set, read


def with_embedded(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings of *environment*, with the embedded database's where none is named.

    Where none was ever made, *environment* stays as it is. Raises EmbeddedError if it does not run.
    """
    if is_set(environment, "database_url"):
        return environment
    state = state_of(environment)
    if not (postgres_directory(state) / "data").exists():
        return environment
    url = listening(postgres_directory(state))
    if url is None:
        raise EmbeddedError(
            f"DATABASE_URL is not set, and the embedded database in {state} does not run: it does"
            " while 'bridgetender run' does"
        )
    known = {**environment, "DATABASE_URL": url}
    if not is_set(environment, "encryption_key") and keyring_file(state).exists():
        known["ENCRYPTION_KEY_FILE"] = str(keyring_file(state))
    return known


def state_of(environment: Mapping[str, str]) -> Path:
    """Return the state directory. Raises EmbeddedError if nothing says where, and BadSettings."""
    return read(environment, _OfState).state_dir or state_directory(environment, os.geteuid())


@dataclass(frozen=True, slots=True)
class _OfState:
    state_dir: Path | None = None


def own_bridge_url(state: Path) -> str:
    """Return the address of the bridge that a daemon with this state directory starts."""
    return f"unix:{near(state / 'bridge.sock')}"


def was_started(state: Path) -> bool:
    """Tell whether a daemon with this state directory ever started a bridge of its own."""
    return bridge_log(state).exists()
