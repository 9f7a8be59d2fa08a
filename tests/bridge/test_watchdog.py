"""systemd's watchdog over the bridge is fed by the turns of its event loop."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import linux
from tests.systemd import ALIVE, Systemd, freeze, thaw


@linux
def test_a_frozen_bridge_is_one_that_systemd_kills(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Systemd(tmp_path / "notify", watchdog=1)) as systemd:
        for name, value in systemd.environment.items():
            monkeypatch.setenv(name, value)
        bridge, _ = start("bridge", "--uds", tmp_path / "bridge.sock")
        systemd.hear("READY=1")
        systemd.hear(ALIVE)
        freeze(bridge.pid)
        systemd.drop()
        assert systemd.would_kill()
        thaw(bridge.pid)
        systemd.hear(ALIVE)
        bridge.terminate()
        systemd.hear("STOPPING=1")
