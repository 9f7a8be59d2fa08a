import json
import signal
import ssl
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from bridge.serve import bind
from tests.daemon.bridges.certificates import Authority


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


def refused(*arguments: object) -> str:
    """Return what a bridge says that does not start."""
    command = [sys.executable, "-m", "bridge", *map(str, arguments)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 2
    return told.stderr


def test_beyond_this_machine_it_listens_by_tls_and_with_a_token_or_not_at_all(
    start: Any, tmp_path: Path
) -> None:
    token, authority = tmp_path / "token", Authority(tmp_path)
    token.write_text("hunter2-token")
    certificate, key = authority.issue("bridge")
    host, tls = ("--host", "0.0.0.0"), ("--tls-cert", certificate, "--tls-key", key)
    for half in ((), ("--token-file", token), tls):
        assert "0.0.0.0 is beyond this machine" in refused(*host, *half)
    bridge, address = start("bridge", *host, "--port", 0, "--token-file", token, *tls)
    assert address.startswith("https://")
    trusting = ssl.create_default_context(cafile=authority.file)
    url = address.replace("0.0.0.0", "127.0.0.1")
    with httpx.Client(base_url=url, verify=trusting) as client:
        assert client.get("/accounts").status_code == 401
        client.headers["Authorization"] = "Bearer hunter2-token"
        assert client.get("/accounts").status_code == 200
        assert "bridge_certificate_expiry_timestamp_seconds 1" in client.get("/metrics").text
    shows_what_lies_there_now(bridge, httpx.URL(url).port, authority)


def shows_what_lies_there_now(bridge: Any, port: int | None, authority: Authority) -> None:
    """It takes a new certificate by itself, and any when it is told to, which does not end it."""
    assert port is not None
    certificate, _ = authority.issue("bridge")
    end = time.monotonic() + 60
    while ssl.get_server_certificate(("127.0.0.1", port)) != certificate.read_text():
        assert time.monotonic() < end
    bridge.send_signal(signal.SIGHUP)
    bridge.send_signal(signal.SIGTERM)
    _, said = bridge.communicate(timeout=30)
    assert bridge.returncode == 0
    assert said.count('"event": "certificate_taken"') == 2


def test_an_address_that_cannot_be_had_is_named() -> None:
    with closing(bind("127.0.0.1", 0)[0]) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        told = refused("--port", port)
    assert f"argument --port: 127.0.0.1:{port} cannot be used (Address already in use)" in told
    assert "Traceback" not in told


def test_a_certificate_without_its_key_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, _ = authority.issue("bridge")
    _, other = authority.issue("other")
    locked = authority.issue("locked", b"passphrase")
    assert "expected both" in refused("--tls-cert", certificate)
    for files in ((certificate, other), locked):
        told = refused("--tls-cert", files[0], "--tls-key", files[1])
        assert "expected a certificate and its key" in told
