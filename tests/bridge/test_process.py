import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx


def test_bridge_and_paper_run_as_processes_and_stop_cleanly(start: Any, tmp_path: Path) -> None:
    token, path = tmp_path / "token", tmp_path / "bridge.sock"
    token.write_text("hunter2-token\n")
    paper, origin = start("bridge.paper", "--port", 0, "--markets", 7)
    bridge, address = start(
        "bridge", "--uds", path, "--token-file", token, "--exchange-origin", origin
    )
    assert address == f"unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o600
    account = {"api_key": "k", "api_secret": "canary-secret"}
    httpx.post(f"{origin}/_paper/credentials", json={"exchange": "binance", **account})
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://b") as client:
        assert client.get("/accounts").status_code == 401
        client.headers["Authorization"] = "Bearer hunter2-token"
        slot = {"account_name": "a", "connector_name": "binance"}
        assert client.post("/connectors/add", json=slot | account).status_code == 200
        assert client.post("/connectors/verify", json=slot).status_code == 200
    said = {}
    for process, sign in ((bridge, signal.SIGTERM), (paper, signal.SIGINT)):
        process.send_signal(sign)
        out, err = process.communicate(timeout=30)
        said[process] = err
        assert (process.returncode, out) == (0, "")
        assert all(json.loads(line)["level"] in ("info", "warning") for line in err.splitlines())
        assert "canary" not in err
        assert "hunter2" not in err
    assert "exchanges_replaced_by_a_stand_in" in said[bridge]
    assert not path.exists()


def test_a_token_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bridge", "--token-file", str(tmp_path / "none")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "--token-file" in told.stderr
