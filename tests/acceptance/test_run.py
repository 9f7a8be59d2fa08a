"""`bridgetender run`, as an operator has it: alone on a machine, under systemd, told to reload."""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from daemon.embedded.children import clean_environment
from daemon.vault import new_key
from tests.acceptance.firm import PATIENCE, Firm, Site, spoken_to, start_slow_bridge
from tests.acceptance.processes import descendants, linux, mentioning, running
from tests.conftest import fast_place
from tests.systemd import Systemd

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
COMMAND = [sys.executable, "-c", "from daemon.cli import main; main()"]
SECRETS = '{"api_key": "key-of-nobody-known", "api_secret": "c2VjcmV0LW9mLW5vYm9keQ=="}'


@dataclass
class Running:
    """A daemon, what it has said so far, and what it was told of its surroundings."""

    process: Process
    log: Path
    environment: dict[str, str]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    async def until(self, name: str, count: int = 1, **values: object) -> dict[str, Any]:
        """Wait until it has told *count* events of this name that hold *values*."""
        with anyio.move_on_after(PATIENCE):
            while True:
                found = [e for e in self.events(name) if values.items() <= e.items()]
                if len(found) >= count:
                    return found[count - 1]
                if self.process.returncode is not None:
                    break
                await anyio.sleep(0.02)
        raise AssertionError(f"it never told {name}: {self.log.read_text()[-3000:]}")

    async def answers(self, path: str, status: int) -> Any:
        url = (await self.until("listening"))["health"]
        async with spoken_to(url) as health:
            with anyio.fail_after(PATIENCE):
                while (answer := await health.get(path)).status_code != status:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
        return answer.json()

    async def command(self, *args: str, said: str = "", code: int = 0) -> str:
        done = await anyio.run_process(
            [*COMMAND, *args], input=said.encode(), env=self.environment, check=False
        )
        assert done.returncode == code, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()


@pytest.fixture
def home() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="bridgetender run ", dir=fast_place()))
    directory.chmod(0o711)  # for the user that serves root
    yield directory
    assert mentioning(str(directory)) == []
    shutil.rmtree(directory)


@asynccontextmanager
async def running_daemon(home: Path, **environment: str) -> AsyncIterator[Running]:
    """Run it in its own surroundings; what was left running at the end is killed."""
    ports = {"BRIDGETENDER_HEALTH_PORT": "0", "BRIDGETENDER_API_PORT": "0"}
    settings = {"BRIDGETENDER_CONFIG": "", **ports}
    said = clean_environment() | settings | environment
    log = Path(tempfile.mkstemp(".log", dir=home)[1])
    with log.open("wb") as sink:  # noqa: ASYNC230
        started = anyio.open_process([*COMMAND, "run"], env=said, stdout=sink, stderr=sink)
        async with await started as process:
            try:
                yield Running(process, log, said)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


@linux
async def test_alone_on_a_machine_it_brings_a_database_a_keyring_and_a_bridge(home: Path) -> None:
    state = home / "state"
    async with running_daemon(home, BRIDGETENDER_STATE_DIR=str(state)) as daemon:
        await daemon.answers("/healthz/bridges", 200)
        assert (state / "encryption-key").stat().st_mode & 0o777 == 0o600
        await daemon.command("clients", "add", "Acme")
        await daemon.command("keys", "add", "Acme", "nosuchexchange", said=SECRETS)
        await daemon.until("initialize_failed", verdict="unsupported")
        status = json.loads(await daemon.command("status", "--json", code=3))
        assert status["keys"][0]["phase"] == "parked"
        await daemon.command("config", "check")
        key = (state / "encryption-key").read_text()
        started = descendants(daemon.process.pid)
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 0
        assert running(started) == set()

    async with running_daemon(home, BRIDGETENDER_STATE_DIR=str(state)) as daemon:
        await daemon.answers("/healthz/bridges", 200)
        assert (state / "encryption-key").read_text() == key
        status = json.loads(await daemon.command("status", "--json", code=3))
        assert len(status["keys"]) == 1
        daemon.process.send_signal(signal.SIGINT)
        assert await daemon.process.wait() == 0
    assert "key-of-nobody-known" not in daemon.log.read_text()


@linux
async def test_its_bridge_is_started_again_when_it_ends(home: Path) -> None:
    async with running_daemon(home, BRIDGETENDER_STATE_DIR=str(home / "state")) as daemon:
        await daemon.answers("/healthz/bridges", 200)
        os.kill((await daemon.until("bridge_started"))["pid"], signal.SIGKILL)
        await daemon.until("bridge_ended")
        await daemon.until("bridge_started", count=2)
        await daemon.answers("/healthz/bridges", 200)
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 0


@linux
async def test_a_second_daemon_on_the_same_state_is_refused_in_a_sentence(home: Path) -> None:
    state = {"BRIDGETENDER_STATE_DIR": str(home / "state")}
    async with running_daemon(home, **state) as daemon:
        await daemon.answers("/readyz", 200)
        refused = await anyio.run_process(
            [*COMMAND, "run"], env=daemon.environment, check=False, stdout=None
        )
        assert refused.returncode == 2
        assert f"is in use by process {daemon.process.pid}" in refused.stderr.decode()
        assert "Traceback" not in refused.stderr.decode()
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 0


@linux
async def test_a_second_signal_ends_it_at_once(home: Path, site: Site, firm: Firm) -> None:
    """The bridge hangs for longer than anybody would wait."""
    await start_slow_bridge(site, latency=600)
    await firm.add_key(await firm.add_client("Acme"))
    async with running_daemon(home, **site.environment()) as daemon:
        await daemon.until("planned")

        async def sent() -> bool:
            return await firm.open_intents() == 1

        await firm.until(sent)
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.until("stopping")
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 128 + signal.SIGTERM


# -- reload ----------------------------------------------------------------------------------


@linux
async def test_a_reload_takes_over_a_new_bridge_and_its_keys_move_there(
    home: Path, site: Site, firm: Firm
) -> None:
    client = await firm.add_client("Acme")
    await firm.add_key(client, "binance")
    moved = await firm.add_key(client, "okx")
    await start_slow_bridge(site, latency=0)
    second = site.directory / "second.sock"
    await site.start("second", ["-m", "bench.slow_bridge", "--uds", str(second), "--latency", "0"])
    file = home / "config.toml"
    main = f"[bridges.main]\nurl = '{site.bridge_url}'\ndefault = true\n"
    file.write_text(main)
    environment = site.environment() | {"BRIDGETENDER_CONFIG": str(file)}
    del environment["TRADING_BRIDGE_URL"]
    async with running_daemon(home, **environment) as daemon:
        await firm.until_live(2)
        kept = (await firm.standing())[moved]
        assert kept.bridge == "main"

        file.write_text(f"{main}[bridges.second]\nurl = 'unix:{second}'\nexchanges = ['okx']\n")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until("reloaded", bridges=["main", "second"])

        async def there() -> bool:
            key = (await firm.standing())[moved]
            return (key.bridge, key.phase) == ("second", "live")

        async def gone_here() -> bool:
            return len(await firm.labels_listed()) == 1

        await firm.until(there)
        await firm.until(gone_here)
        held = (await daemon.answers("/healthz/bridges", 200))["bridges"]
        assert {name: bridge["held"] for name, bridge in held.items()} == {
            "main": True,
            "second": True,
        }
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 0
    assert len(daemon.events("lease_acquired")) == 2, "main went on undisturbed"


@linux
async def test_a_reload_of_wrong_settings_names_them_and_changes_nothing(
    home: Path, site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, latency=0)
    file = home / "config.toml"
    file.write_text("resync_seconds = 30\n")
    environment = site.environment() | {"BRIDGETENDER_CONFIG": str(file)}
    async with running_daemon(home, **environment) as daemon:
        await daemon.until("bridge_up")
        file.write_text("resync_seconds = 'never'\nhistory_days = 0\n")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until("reload_refused", count=2)
        site.key_file.write_text("hunter2-is-no-fernet-key")
        file.write_text("")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until("reload_refused", count=3)
        await firm.add_key(await firm.add_client("Acme"))
        await firm.until_live()
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 0
    assert "hunter2" not in daemon.log.read_text()


@linux
async def test_a_reload_while_it_starts_or_stops_does_no_harm(
    home: Path, site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, latency=600)
    await firm.add_key(await firm.add_client("Acme"))
    file = home / "config.toml"
    file.write_text("")
    environment = site.environment() | {
        "BRIDGETENDER_CONFIG": str(file),
        "BRIDGETENDER_GRACE_SECONDS": "1",
    }
    async with running_daemon(home, **environment) as daemon:
        await daemon.until("listening")
        daemon.process.send_signal(signal.SIGHUP)

        async def sent() -> bool:
            return await firm.open_intents() == 1

        await firm.until(sent)
        file.write_text("concurrency = 7")
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.until("stopping")
        daemon.process.send_signal(signal.SIGHUP)
        assert await daemon.process.wait() == 0
    assert "Traceback" not in daemon.log.read_text()


@linux
async def test_one_of_two_daemons_on_a_state_directory_runs_the_bridge(
    home: Path, site: Site
) -> None:
    environment = site.environment() | {"BRIDGETENDER_STATE_DIR": str(home)}
    del environment["TRADING_BRIDGE_URL"]
    async with running_daemon(home, **environment) as daemon:
        await daemon.until("bridge_up")
        second = await anyio.run_process(
            [*COMMAND, "run"], env=daemon.environment, check=False, stdout=None
        )
        assert second.returncode == 2
        assert f"is in use by process {daemon.process.pid}" in second.stderr.decode()
        await daemon.answers("/healthz/bridges", 200)
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 0


@linux
async def test_a_daemon_that_missed_a_rotation_lets_go_and_goes_on_once_it_has_the_key(
    home: Path, site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, latency=0)
    keys = await firm.add_clients(5, "binance", "okx")
    site.settings = {"BRIDGETENDER_POLL_SECONDS": "0.1"}
    async with running_daemon(home, **site.environment()) as daemon:
        await firm.until_live()
        old, new = site.encryption_key.reveal(), new_key().reveal()
        del daemon.environment["ENCRYPTION_KEY_FILE"]
        daemon.environment["ENCRYPTION_KEY"] = f"{new},{old}"
        await daemon.command("rotate")
        await daemon.until("keyring_outdated")
        await daemon.answers("/readyz/keyring", 503)

        site.key_file.write_text(f"{new},{old}")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until("reloaded")
        await daemon.answers("/readyz", 200)
        await firm.until_live()
        standing = await firm.standing()
        assert {standing[key].reason for key in keys} == {"applied"}
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.process.wait() == 0


# -- systemd ---------------------------------------------------------------------------------


@linux
async def test_systemd_hears_that_it_is_ready_alive_reloading_and_stopping(
    home: Path, site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, latency=0)
    await firm.add_key(await firm.add_client("Acme"))
    with closing(Systemd(home / "notify", watchdog=0.1)) as systemd:
        async with running_daemon(home, **site.environment(), **systemd.environment) as daemon:
            systemd.hear("READY=1")
            systemd.hear("WATCHDOG=1")
            systemd.hear("STATUS=holds")
            daemon.process.send_signal(signal.SIGHUP)
            assert "MONOTONIC_USEC=" in systemd.hear("RELOADING=1")
            systemd.hear("READY=1")
            daemon.process.send_signal(signal.SIGTERM)
            systemd.hear("STOPPING=1")
            assert await daemon.process.wait() == 0
