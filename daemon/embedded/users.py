"""PostgreSQL refuses to run as root, so root lends it another user of this machine."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import NamedTuple

from daemon.embedded.errors import EmbeddedError

CANDIDATES = ("postgres", "nobody")


class User(NamedTuple):
    name: str
    uid: int
    gid: int


def own_name() -> str:
    """Return our user's name, which PostgreSQL needs to recognise us. Raise EmbeddedError."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL needs a user with a name and uid {uid} has none: add it to /etc/passwd, "
            "or set DATABASE_URL to a server elsewhere"
        ) from None


def server_user() -> User | None:
    """Return who is to run the server: None for ourselves, somebody else when we are root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in CANDIDATES:
        if name in known:
            return User(name, known[name].pw_uid, known[name].pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root and there is neither a user 'postgres' nor 'nobody': "
        "add one of them, or start this as an ordinary user"
    )


def may(user: User, what: str, path: Path) -> bool:
    """Tell whether `user` may `-r` read, `-w` write or `-x` enter or execute `path`.

    Asked of the kernel by a process of that user, since modes alone do not know about ACLs.
    """
    try:
        asked = subprocess.run(  # noqa: S603  (no shell)
            ["test", what, path],  # noqa: S607  (wherever this system keeps it)
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            env={"PATH": os.defpath},
            check=False,
        )
    except PermissionError as error:
        raise EmbeddedError(
            f"this root may not become user {user.name!r} ({error.strerror}), which PostgreSQL "
            "needs: start this as an ordinary user"
        ) from error
    return asked.returncode == 0


def require_entry(user: User, directory: Path) -> None:
    """Raise EmbeddedError naming the first directory on the way that `user` cannot enter."""
    for step in (*reversed(directory.parents), directory):
        if step.exists() and not may(user, "-x", step):
            raise EmbeddedError(
                f"PostgreSQL has to run as user {user.name!r}, who cannot enter {step}: choose a "
                f"state directory elsewhere (such as /var/lib/bridgetender) or run "
                f"'chmod o+x {step}'"
            )
