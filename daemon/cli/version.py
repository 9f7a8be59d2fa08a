"""`version`: of this program and of what it runs on."""

import platform
from importlib.metadata import version as installed

from daemon.cli.output import Json, document, say
from daemon.cli.parts import command_app

app = command_app()


@app.command()
def version(*, json: Json = False) -> None:
    """Print the version."""
    number, python = installed("bridgetender"), platform.python_version()
    if json:
        document({"version": number, "python": python})
    else:
        say(f"bridgetender {number} (Python {python})")
