"""Where a daemon that brings its own database keeps its state, and the keyring file among it.

The state directory holds `postgres`, the database, and `encryption-key`, which is made once, is
readable by us only, and is in no backup of the database.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from daemon.embedded.disk import sync
from daemon.embedded.errors import EmbeddedError
from daemon.vault import new_key

SETTING = "BRIDGETENDER_STATE_DIR"
_OPEN_TO_OTHERS = 0o077


def state_directory(environment: Mapping[str, str], uid: int) -> Path:
    """Return where user *uid* keeps its state. Raises EmbeddedError if nothing says where."""
    if chosen := environment.get(SETTING, "").strip():
        return Path(chosen).absolute()
    if uid == 0:
        return Path("/var/lib/bridgetender")
    shared = Path(environment.get("XDG_STATE_HOME", ""))
    if shared.is_absolute():  # the standard wants others ignored
        return shared / "bridgetender"
    home = Path(environment.get("HOME", ""))
    if home.is_absolute():
        return home / ".local/state/bridgetender"
    raise EmbeddedError(f"there is no place for the state directory: set HOME or {SETTING}")


def postgres_directory(state: Path) -> Path:
    return state / "postgres"


def keyring_file(state: Path) -> Path:
    return state / "encryption-key"


def bridge_log(state: Path) -> Path:
    """Return where our own bridge's output goes; it is there once the bridge was ever started."""
    return state / "bridge.log"


def require_keyring(state: Path) -> Path:
    """Return the keyring file, made if there was never one; call it before the database is made.

    Raises EmbeddedError if others may read it, and if it is gone while a database is there: a new
    key would read nothing of what is stored, and hide that the old one is missing.
    """
    path = keyring_file(state)
    try:
        if not path.exists():
            _make(path)
        _refuse_open(path)
    except OSError as error:
        raise EmbeddedError(f"{path} cannot be used: {error.strerror or error}") from error
    return path


def _make(path: Path) -> None:
    database = postgres_directory(path.parent)
    if (database / "data").exists():
        raise EmbeddedError(
            f"{path} is gone, and without it the keys stored in {database} cannot be read: put it"
            " back, set ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) to what it held, or move"
            f" {database} away to begin anew"
        )
    _make_directory(path.parent)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-") as making:
        making.write(f"{new_key().reveal()}\n")  # for our eyes only: 0600
        making.flush()
        os.fsync(making.fileno())
        with suppress(FileExistsError):  # somebody was faster
            os.link(making.name, path)
    sync(path.parent)


def _make_directory(state: Path) -> None:
    """Make it; root's must let the user through that serves the database."""
    for path in reversed([path for path in (state, *state.parents) if not path.exists()]):
        path.mkdir()
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _refuse_open(path: Path) -> None:
    found = path.stat()
    if found.st_mode & _OPEN_TO_OTHERS:
        raise EmbeddedError(
            f"{path} is open to others (mode {found.st_mode & 0o777:04o}): run 'chmod 600 {path}',"
            " and rotate the key if somebody may have read it"
        )
    if found.st_uid not in (0, os.geteuid()):
        raise EmbeddedError(f"{path} belongs to another user: run 'chown {os.geteuid()} {path}'")
