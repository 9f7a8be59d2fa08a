"""Completion, asked for as a shell asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli.app import COMMANDS, app
from tests.conftest import installed

PROGRAM = Path(sys.executable).parent
ASK = """
source <(bridgetender completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_bridgetender_completion bridgetender
printf '%s\\n' "${COMPREPLY[@]}"
"""
CASES = {
    ("",): set(COMMANDS),
    ("re",): {name for name in COMMANDS if name.startswith("re")},
    ("keys", "re"): {"replace", "relabel"},
    ("pause", "--b"): {"--bridge", "--by"},
    ("keys", "add", "'Acme Capital'", "krak"): {"kraken", "krakenfutures"},
    ("clients", "set-status", "'Acme Capital'", ""): {"active", "paused", "suspended"},
    ("completion", ""): {"bash", "zsh", "fish"},
}


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_bash_completes_commands_options_and_what_may_be_said(words: tuple[str, ...]) -> None:
    bash = installed("bash", package="bash")
    done = subprocess.run(
        [bash, "--norc", "-c", ASK, "bash", "bridgetender", *words],
        env=os.environ | {"PATH": f"{PROGRAM}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert set(done.stdout.splitlines()) == CASES[words]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_ask_the_same_program(shell: str) -> None:
    script = CliRunner().invoke(app, ["completion", shell], catch_exceptions=False).output
    assert f"_BRIDGETENDER_COMPLETE=complete_{shell}" in script
    done = subprocess.run(
        [sys.executable, "-c", "from daemon.cli import main; main()"],
        env={
            "_BRIDGETENDER_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": "bridgetender stat",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "status" in done.stdout
    assert "Traceback" not in done.stderr
