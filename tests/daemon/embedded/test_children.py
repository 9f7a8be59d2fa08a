"""Children of ours, run for real: nothing here is faked."""

# ruff: noqa: ASYNC220, ASYNC240  (a test may block: nothing else runs)

import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from daemon.embedded.children import Child, child, clean_environment
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.users import User, server_user

pytestmark = pytest.mark.anyio
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

PATIENT = """
import os, signal, sys
def stop(number, frame):
    os.write(1, b"stopped by %d\\n" % number)
    sys.exit(4)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
open(sys.argv[1], "w").write(f"{os.getpid()} {os.getsid(0)}")
while True:
    signal.pause()
"""
DEAF = PATIENT.replace("sys.exit(4)", "pass")
PARENT = """
import sys, anyio
from pathlib import Path
from daemon.embedded.children import child
async def main():
    command = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
    async with child(command, env={}, log=Path(sys.argv[3])) as running:
        await running.wait()
anyio.run(main)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


@pytest.fixture
def door(tmp_path: Path) -> Path:
    """A named pipe on which a child says that it is ready."""
    os.mkfifo(tmp_path / "door")
    return tmp_path / "door"


@asynccontextmanager
async def patient(
    log: Path, door: Path, program: str = PATIENT, stop_signal: signal.Signals = signal.SIGTERM
) -> AsyncIterator[Child]:
    command = [sys.executable, "-c", program, str(door)]
    grace = timedelta(seconds=0.05 if program == DEAF else 60)
    async with child(command, env={}, log=log, stop_signal=stop_signal, grace=grace) as running:
        assert await ready(door) == running.pid
        yield running


async def ready(door: Path) -> int:
    return int((await to_thread.run_sync(door.read_text)).split()[0])


async def gone(pid: int) -> None:
    """Return when a process that need not be ours has ended."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        await to_thread.run_sync(select.select, [process], [], [])
        os.close(process)


async def test_the_exit_code_and_the_output_are_the_commands_own(log: Path) -> None:
    log.write_text("before\n")
    command = ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]
    async with child(command, env={}, log=log) as running:
        assert await running.wait() == running.returncode == 3
    assert log.read_text() == "before\nout\nerr\n"


@pytest.mark.parametrize("wanted", [signal.SIGTERM, signal.SIGINT])
async def test_the_end_of_the_block_stops_the_command_by_its_signal(
    log: Path, door: Path, wanted: signal.Signals
) -> None:
    async with patient(log, door, stop_signal=wanted) as running:
        assert running.returncode is None
    assert running.returncode == 4
    assert log.read_text() == f"stopped by {wanted:d}\n"


async def test_a_command_that_will_not_stop_is_killed_after_the_grace_time(
    log: Path, door: Path
) -> None:
    async with patient(log, door, DEAF) as running:
        assert await running.stop() == 128 + signal.SIGKILL
    assert log.read_text() == f"stopped by {signal.SIGTERM:d}\n"


async def test_kill_ends_the_command_without_asking(log: Path, door: Path) -> None:
    async with patient(log, door) as running:
        running.kill()
        assert await running.wait() == 128 + signal.SIGKILL
        running.kill()  # harmless once it is gone
    assert log.read_text() == ""


async def test_any_number_of_tasks_may_wait_and_give_up_waiting(log: Path, door: Path) -> None:
    codes = []

    async def wait(running: Child) -> None:
        codes.append(await running.wait())

    async with patient(log, door) as running, anyio.create_task_group() as tasks:
        tasks.start_soon(wait, running)
        tasks.start_soon(wait, running)
        with anyio.CancelScope() as impatient:
            impatient.cancel()
            await wait(running)
        assert running.returncode is None
        running.kill()
    assert codes == [137, 137]


@pytest.mark.parametrize(
    ("command", "directory", "words"),
    [
        (["/nowhere/at all"], "/", "/nowhere/at all cannot be run: .*No such file"),
        (["/bin/sh"], "/nowhere", "/bin/sh cannot be run: .*No such file.*/nowhere"),
        (["/etc/passwd"], "/", "/etc/passwd cannot be run: .*Permission denied"),
    ],
)
async def test_what_cannot_be_run_is_refused_with_words(
    log: Path, command: list[str], directory: str, words: str
) -> None:
    with pytest.raises(EmbeddedError, match=words):
        async with child(command, env={}, log=log, directory=Path(directory)):
            pass


async def test_a_child_knows_nothing_but_what_it_is_given(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ENCRYPTION_KEY", "DATABASE_URL", "BRIDGETENDER_X", "https_proxy"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    environment = clean_environment() | {"MARK": "yes"}
    async with child(["/usr/bin/env", "-0"], env=environment, log=log) as running:
        assert await running.wait() == 0
    seen = dict(line.split("=", 1) for line in log.read_text().split("\0") if line)
    assert seen == environment
    assert seen["TZ"] == "Europe/Berlin"
    assert "s3cret" not in log.read_text()


async def test_an_empty_environment_gains_at_most_a_locale(log: Path) -> None:
    async with child(["/usr/bin/env"], env={}, log=log) as running:
        await running.wait()
    assert log.read_text() in {"", "LC_CTYPE=C.UTF-8\n"}


async def test_a_terminals_ctrl_c_reaches_neither_child_nor_guard(log: Path, door: Path) -> None:
    async with patient(log, door) as running:
        ours = os.getpgid(0)
        assert ours not in {os.getpgid(running.pid), os.getpgid(running._guard.pid)}


@linux
async def test_a_child_dies_with_a_parent_that_was_killed(log: Path, door: Path) -> None:
    command = [sys.executable, "-c", PARENT, PATIENT, str(door), str(log)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as parent:
        pid = await ready(door)
        parent.kill()
        await gone(pid)
    assert log.read_text() == f"stopped by {signal.SIGTERM:d}\n"


@linux
async def test_a_child_dies_with_a_guard_that_was_killed(log: Path, door: Path) -> None:
    async with patient(log, door) as running:
        running._guard.kill()
        assert await running.wait() == -signal.SIGKILL
        await gone(running.pid)
    assert log.read_text() == f"stopped by {signal.SIGTERM:d}\n"


async def test_a_guard_that_is_asked_to_end_stops_its_child_first(log: Path, door: Path) -> None:
    async with patient(log, door) as running:
        running._guard.terminate()
        assert await running.wait() == 4
    assert log.read_text() == f"stopped by {signal.SIGTERM:d}\n"


def held() -> tuple[list[str], set[str]]:
    """Return this process's descriptors and children, zombies included."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sorted(path.name for path in Path("/proc/self/fd").iterdir()), set(children)


@linux
async def test_nothing_is_left_over(log: Path, door: Path) -> None:
    before = held()
    async with patient(log, door):
        pass
    with pytest.raises(EmbeddedError):
        Child.start(["/nowhere"], env={}, log=log)
    assert held() == before


def test_a_child_can_be_ended_without_an_event_loop(log: Path) -> None:
    running = Child.start(["/bin/sleep", "1000"], env={}, log=log)
    assert running.end() == running.end() == 128 + signal.SIGTERM


@as_root
async def test_root_can_lend_a_child_another_user(log: Path) -> None:
    user = server_user()
    assert isinstance(user, User)
    async with child(["/bin/sh", "-c", "id -u; id -G"], env={}, log=log, user=user) as running:
        await running.wait()
    assert log.read_text() == f"{user.uid}\n{user.gid}\n"


@as_root
@linux
async def test_a_child_of_another_user_dies_with_its_guard_too(log: Path) -> None:
    command = ["/bin/sleep", "1000"]
    async with child(command, env={}, log=log, user=server_user()) as running:
        running._guard.kill()
        await gone(running.pid)
