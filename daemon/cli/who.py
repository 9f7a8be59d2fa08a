"""Who is at the shell: the one whom the audit and a pause name."""

import getpass
import os

from daemon.store.audit import Actor


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def operator() -> Actor:
    """Return the present user, as who has the run of the database is called."""
    return Actor(user(), "operator")
