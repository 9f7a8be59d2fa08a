"""The tutorial does what it shows: its commands are typed in order, on real processes."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.test_health import own_place

__all__ = ["own_place"]
pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parent.parent.parent
PORTS = ("8701", "9464", "9465")
"""Those that the page names; others are taken for them, for somebody may be there."""


class Typed(NamedTuple):
    """A line that the page tells to type, and what it shows then, with … for what differs."""

    command: str
    shown: str


def test_every_command_of_the_tutorial_does_what_the_page_shows(own_place: Path) -> None:
    page = (ROOT / "docs/tutorial.md").read_text()
    ports = {named: str(free_port()) for named in PORTS}
    lines = typed(re.sub("|".join(PORTS), lambda found: ports[found[0]], page))
    assert len(lines) > 30
    run(
        lines,
        own_place,
        BRIDGETENDER_HEALTH_PORT=ports["9464"],
        BRIDGETENDER_API_PORT=ports["9465"],
    )
    for number, line in enumerate(lines):
        said, code = (own_place / f"{each}.{number}" for each in ("said", "code"))
        assert code.exists(), f"never came to: {line.command}"
        assert code.read_text() == "0\n", f"{line.command}\n{said.read_text()}"
        assert not line.shown or matches(line.shown, said.read_text()), (
            f"{line}\n{said.read_text()}"
        )


def typed(page: str) -> list[Typed]:
    blocks = "".join(re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    _, *parts = re.split(r"^\$ ", blocks, flags=re.MULTILINE)
    return [Typed(*part.split("\n", 1)) for part in parts]


def matches(shown: str, said: str) -> bool:
    """Tell whether *said* is what was *shown*: … stands for anything in a line, alone for lines."""
    lines = (
        r"(?:.*\n)*" if line == "…" else f"{re.escape(line).replace('…', '.*')}\n"
        for line in shown.strip().splitlines()
    )
    return re.fullmatch("".join(lines), f"{said.strip()}\n") is not None


def run(lines: list[Typed], place: Path, **settings: str) -> None:
    """Type *lines* into one shell; what each said and its exit code are files in *place*."""
    script = place / "typed.sh"
    typed = "".join(scripted(line, place, number) for number, line in enumerate(lines))
    script.write_text(f"trap 'kill $(jobs -p) 2> {place}/ended; wait' EXIT\n{typed}")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE")}
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = bare | settings | {"HOME": str(place), "PATH": programs, "BRIDGETENDER_CONFIG": ""}
    shell = subprocess.Popen(["bash", script], cwd=ROOT, env=env, start_new_session=True)
    try:
        shell.wait(timeout=240)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()


def scripted(line: Typed, place: Path, number: int) -> str:
    """Return *line* for a script that ends with the first one that fails."""
    said, code = place / f"said.{number}", place / f"code.{number}"
    typed = f"{{ {line.command}\n}} > {said} 2>&1 < /dev/null"
    return f"{typed}; echo $? | tee {code} | grep -qx 0 || exit\n"


def free_port() -> int:
    """Return a port that nobody listens at, below those that the kernel hands out."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
