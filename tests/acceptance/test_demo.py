"""`bridgetender demo`, as a stranger's script runs it, and as an impatient stranger ends it."""

# ruff: noqa: ASYNC240  (a test may block: nothing else runs)

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.acceptance.firm import PATIENCE
from tests.acceptance.processes import descendants, linux, mentioning, running
from tests.conftest import fast_place

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
DEMO = ["-c", "from daemon.cli import main; main()", "demo"]


@pytest.fixture
def state_dir() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="bridgetender acceptance ", dir=fast_place()))
    directory.chmod(0o711)  # for the user that serves root
    yield directory
    shutil.rmtree(directory)


@asynccontextmanager
async def demo(state_dir: Path, *options: str, stderr: int | None = None) -> AsyncIterator[Process]:
    words = [*DEMO, *(options or ("--once", "--json"))]
    command = [sys.executable, *words, "--state-dir", str(state_dir)]
    async with await anyio.open_process(command, stderr=stderr) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def lines(process: Process) -> AsyncIterator[str]:
    assert process.stdout is not None
    rest = ""
    async for chunk in TextReceiveStream(process.stdout):
        *whole, rest = (rest + chunk).split("\n")
        for line in whole:
            yield line


async def until_said(process: Process, words: str) -> None:
    async for line in lines(process):
        if words in line:
            return
    raise AssertionError(f"it never said {words!r}")


@linux
async def test_the_demo_ends_with_exactly_what_was_expected_and_leaves_nothing(
    state_dir: Path,
) -> None:
    async with demo(state_dir) as process:
        said = [line async for line in lines(process)]
        assert await process.wait() == 0

    report = json.loads(said[-1])
    assert report.pop("first_convergence_seconds") > 0
    assert report.pop("bridge_restart_convergence_seconds") > 0
    assert report.pop("init_attempts") >= 6 + 2 + 6
    assert report == {
        "keys_active": 8,
        "live": 6,
        "parked": 2,
        "parked_reasons": {"refused": 1, "unsupported": 1},
        "balances": {
            "Acme Capital": {
                "binance": {"BTC": "0.6", "USDT": "12500"},
                "kraken": {"ETH": "14.25"},
                "okx": {"USDT": "8000.5"},
            },
            "Birch Trading": {"binance": {"ETH": "3.5"}, "kucoin": {"BTC": "0.125", "USDT": "990"}},
            "Cobalt Fund": {"kraken": {"BTC": "2.75"}},
        },
        "secrets_leaked": 0,
    }
    assert list(state_dir.iterdir()) == []
    assert mentioning(str(state_dir)) == []


@linux
async def test_a_script_that_asks_a_demo_to_stay_gets_one_line_and_comes_in_by_it(
    state_dir: Path,
) -> None:
    async with demo(state_dir, "--json", "--stay") as process:
        with anyio.fail_after(PATIENCE):
            line = await anext(lines(process))  # the first: nothing else is printed there
        told = json.loads(line)
        acme, birch, _ = told["clients"]
        async with httpx.AsyncClient() as web:
            assert (await web.get(f"{told['health']}/readyz")).status_code == 200
            assert (await web.get(f"{told['paper']}/_paper/health")).status_code == 200
            admin = {"Authorization": f"Bearer {told['admin_token']}"}
            keys = f"{told['api']}/api/admin/clients/{acme['id']}/api-keys"
            assert len(told["spare_credentials"]) >= 2
            for exchange, credentials in told["spare_credentials"].items():
                body = {"exchange": exchange, **credentials}
                answer = await web.post(f"{keys}?wait=30", json=body, headers=admin)
                assert answer.json()["trading_bridge_configured"] is True
            for client, holds in ((acme, "12500"), (birch, "990")):
                own = {"Authorization": f"Bearer {client['token']}"}
                said = (await web.get(f"{told['api']}/api/clients/balances", headers=own)).json()
                assert said["client"] == client["name"]
                assert holds in {row["total"].split(".")[0] for row in said["balances"]}
            os.kill(told["bridge_pid"], signal.SIGKILL)
            away = f"{told['health']}/healthz/bridges"
            with anyio.fail_after(PATIENCE):
                while (await web.get(away)).status_code != 503:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
        assert process.returncode is None
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    assert mentioning(str(state_dir)) == []
    assert list(state_dir.iterdir()) == []


@linux
@pytest.mark.parametrize("words", ["Starting PostgreSQL", ": live"])
async def test_a_demo_that_is_interrupted_leaves_no_process_and_no_file(
    state_dir: Path, words: str
) -> None:
    async with demo(state_dir) as process:
        await until_said(process, words)
        started = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    assert running(started) == set()
    assert mentioning(str(state_dir)) == []
    assert list(state_dir.iterdir()) == []


@linux
async def test_a_demo_that_is_killed_takes_every_process_with_it(state_dir: Path) -> None:
    async with demo(state_dir) as process:
        await until_said(process, ": live")
        started = descendants(process.pid)
        assert len(started) >= 8  # four programs, each below its guard
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        with anyio.fail_after(PATIENCE):
            while running(started) or mentioning(str(state_dir)):  # noqa: ASYNC110
                await anyio.sleep(0.05)


@linux
async def test_a_demo_whose_postgresql_is_killed_says_so_in_one_line_and_ends(
    state_dir: Path,
) -> None:
    async with demo(state_dir, "--json", "--stay", stderr=subprocess.PIPE) as process:
        assert process.stderr
        with anyio.fail_after(PATIENCE):
            await anext(lines(process))
            started = descendants(process.pid)
            (noted,) = state_dir.rglob("postmaster.pid")
            os.kill(int(noted.read_text().splitlines()[0]), signal.SIGKILL)
            said = "".join([chunk async for chunk in TextReceiveStream(process.stderr)])
            assert await process.wait() == 1
    *_, before, last = said.splitlines()
    assert " s  " in before  # of what happened
    assert last.startswith("bridgetender: PostgreSQL has ended (status 137): ")
    assert running(started) == set()
