from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli.app import app
from daemon.cli.exits import Code


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
