from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from daemon.cli.app import app
from daemon.cli.exits import Code
from daemon.cli.theatre import Lines
from daemon.embedded.demo import Scene
from daemon.store.status import KeyStatus
from reconciler.model import KeyId, Reason


def test_a_state_dir_that_cannot_be_made_is_named_in_one_sentence(tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    for place in (file, file / "below", Path("/proc/nope")):
        result = CliRunner().invoke(app, ["demo", "--once", "--state-dir", str(place)])
        assert result.exit_code == Code.UNSETTLED
        assert f"cannot make a directory in '{place}': " in result.output
        assert "choose another" in result.output


@pytest.mark.parametrize("option", ["--port", "--health-port"])
@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none_is_refused_at_once(option: str, port: str) -> None:
    result = CliRunner().invoke(app, ["demo", f"{option}={port}"])
    assert result.exit_code == Code.USAGE
    assert f"Invalid value for '{option}'" in result.output


def test_two_keys_in_one_place_are_told_apart_and_what_stays_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing: list[Any] = [None] * len(KeyStatus._fields)
    blank = KeyStatus(*nothing)._replace(
        client="Acme", exchange="bybit", reason=Reason.NEW, message=""
    )
    ids = [KeyId(uuid4()), KeyId(uuid4())]
    keys = [
        blank._replace(key_id=ids[0], phase="live"),
        blank._replace(key_id=ids[1], phase="parked"),
    ]
    lines = Lines()
    for _ in range(3):
        lines.show(Scene(keys))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(["the bridge", *keys])
    for id_, line in zip(ids, said[1:], strict=True):
        assert f"Acme / bybit {str(id_)[:8]}: " in line
