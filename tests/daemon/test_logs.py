"""What reaches the log, in which form, and what never does."""

import asyncio
import gc
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from daemon import logs, values
from daemon.bridges.access import Access
from daemon.bridges.trading import open_bridge
from daemon.store.engine import make_engine
from daemon.store.people import People, SealedEntry
from daemon.vault import Keyring, new_key
from reconciler.model import Credentials, Secret, Slot
from tests.acceptance.firm import issue
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import serving
from tests.fakes import BRIDGE, HandClock

CLOCK = HandClock()
TOKEN = "t0ken-of-the-bridge-0123456789"
CANARY = "canary-0123456789-canary"


@contextmanager
def logging_to(*, json: bool = True, level: str = "DEBUG") -> Iterator[io.StringIO]:
    """Log into a buffer, then put everything back as it was."""
    root, lines = logging.getLogger(), io.StringIO()
    handlers, level_before = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    logs.configure(json=json, level=level, stream=lines)
    try:
        yield lines
    finally:
        root.handlers[:] = handlers
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        logging.captureWarnings(capture=False)
        root.setLevel(level_before)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
        logs._SCRUBBER.forget()


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    with logging_to() as lines:
        yield lines


@pytest.fixture
def coloured() -> Iterator[io.StringIO]:
    with logging_to(json=False) as lines:
        yield lines


def last(lines: io.StringIO) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(lines.getvalue().splitlines()[-1])
    return event


def fail(message: str) -> None:
    hidden_in_a_local = CANARY
    del hidden_in_a_local
    raise ValueError(message)


def test_an_event_is_one_line_of_json(logged: io.StringIO) -> None:
    structlog.get_logger().warning("init_failed", slot="main/a/okx", failures=3, due_at=None)
    event = last(logged)
    assert event.pop("at")
    assert event == {
        "event": "init_failed",
        "level": "warning",
        "slot": "main/a/okx",
        "failures": 3,
        "due_at": None,
    }


def test_the_standard_library_takes_the_same_way(logged: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("Started on %s", "loopback")
    event = last(logged)
    assert (event["event"], event["logger"]) == ("Started on loopback", "uvicorn.error")


def test_what_is_bound_to_the_context_is_in_every_line(logged: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(trace="t1")
    logging.getLogger("alembic").warning("upgrading")
    assert last(logged)["trace"] == "t1"


def test_a_level_is_kept() -> None:
    with logging_to(level="warning") as lines:
        structlog.get_logger().info("quiet")
        logging.getLogger("anybody").info("quiet")
        assert lines.getvalue() == ""


@pytest.mark.parametrize("name", ["httpx", "aiohttp.client", "sqlalchemy.engine.Engine", "asyncpg"])
def test_nobody_can_make_the_chatty_ones_talk(logged: io.StringIO, name: str) -> None:
    logging.getLogger(name).debug("headers")
    logging.getLogger(name).info("requests")
    assert logged.getvalue() == ""


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"before {CANARY} after",
        {"deep": [{"er": (CANARY,)}]},
        {CANARY: 1},
        {CANARY},
        CANARY.encode(),
        ValueError(CANARY),
        logging.LogRecord("a", 10, CANARY, 1, "b", None, None),
    ],
)
@pytest.mark.parametrize("name", ["logged", "coloured"])
def test_a_guarded_secret_is_never_written(
    request: pytest.FixtureRequest, name: str, value: object
) -> None:
    lines: io.StringIO = request.getfixturevalue(name)
    logs.guard(CANARY)
    structlog.get_logger().info("event", value=value)
    logging.getLogger("any").info("said %s", value)
    assert lines.getvalue().count("event")
    assert "canary" not in lines.getvalue()


@pytest.mark.parametrize("name", ["api_secret", "password", "ENCRYPTION_KEY", "signature", "token"])
def test_a_field_with_a_private_name_is_masked_at_any_depth(logged: io.StringIO, name: str) -> None:
    structlog.get_logger().info("event", **{name: CANARY}, deep={"er": [{name: CANARY}]})
    assert "canary" not in logged.getvalue()
    assert last(logged)[name] == "***"


@pytest.mark.parametrize("name", ["logged", "coloured"])
def test_a_traceback_shows_neither_locals_nor_secrets(
    request: pytest.FixtureRequest, name: str
) -> None:
    lines: io.StringIO = request.getfixturevalue(name)
    try:
        fail("postgresql://app:canary-pw@db and api_key=canary-key")
    except ValueError:
        structlog.get_logger().exception("crashed_a")
        logging.getLogger("any").exception("crashed_b")
    text = lines.getvalue()
    assert text.count("ValueError: postgresql://app:***@db and api_key=***") == 2
    assert "canary-" not in text


def test_what_nobody_caught_is_logged_too(logged: io.StringIO) -> None:
    thread = threading.Thread(target=fail, args=("api_key=canary-key",))
    thread.start()
    thread.join()
    assert last(logged)["event"] == "crashed"
    try:
        fail("api_key=canary-key")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    assert logged.getvalue().count("ValueError: api_key=***") == 2


class Clumsy:
    def __del__(self) -> None:
        raise ValueError("api_key=canary-key")


def test_what_a_destructor_raises_is_logged_too(logged: io.StringIO) -> None:
    Clumsy()
    gc.collect()
    assert last(logged)["event"] == "unraisable"
    assert "ValueError: api_key=***" in logged.getvalue()


def test_a_warning_takes_the_same_way(logged: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)  # pytest's own ear is away here
        warnings.warn("api_key=canary-key is old", stacklevel=1)
    event = last(logged)
    assert (event["logger"], event["level"]) == ("py.warnings", "warning")
    assert "UserWarning: api_key=*** is old" in event["event"]


def test_a_task_whose_error_nobody_asks_for_is_logged_too(logged: io.StringIO) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(crash())
        await asyncio.wait([task])
        del task
        gc.collect()

    async def crash() -> None:
        raise ValueError("api_key=canary-key")

    asyncio.run(main())
    event = last(logged)
    assert "Task exception was never retrieved" in event["event"]
    assert "ValueError: api_key=***" in event["exception"]


LIBRARIES = (
    *("asyncio", "asyncpg", "httpcore", "httpx", "aiohttp", "uvicorn"),
    *("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool"),
)


@pytest.mark.anyio
async def test_a_library_that_somebody_made_talk_shows_no_secret(
    logged: io.StringIO, database_url: str
) -> None:
    """Nobody can by a setting; whoever looks for a mistake can in the code."""
    story, keyring = StoryBridge(), Keyring([new_key()])
    api_key, api_secret = issue().plain()
    sealed = SealedEntry("binance", keyring.seal(Secret(api_key)), keyring.seal(Secret(api_secret)))
    values.database(database_url)
    loud = make_engine(database_url)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        async with (
            serving(story) as url,
            open_bridge(BRIDGE, url, HandClock(), access=Access(values.secret(TOKEN))) as line,
        ):
            people = People(loud)
            key = await people.add_key(await people.add_client("Acme"), sealed)
            await people.sealed(key)
            credentials = Credentials(Secret(api_key), Secret(api_secret))
            await line.initialize(Slot(BRIDGE, "client_acme", "binance"), credentials, "f1")
    finally:
        for name in LIBRARIES:
            logging.getLogger(name).setLevel(logging.NOTSET)
        await loud.dispose()
    text = logged.getvalue()
    assert len(story.requests("POST", "/connectors/add")) == 1
    assert "Row ('binance', '***', '***'" in text  # it did talk
    for secret in (api_key, api_secret, TOKEN, sealed.api_key, sealed.api_secret):
        assert secret not in text


def test_a_secret_of_our_own_shows_itself_to_no_log(logged: io.StringIO) -> None:
    structlog.get_logger().info("event", value=Secret(CANARY))
    assert last(logged)["value"] == "Secret(***)"


def test_what_points_at_itself_ends(logged: io.StringIO) -> None:
    loop: list[object] = []
    loop.append(loop)
    structlog.get_logger().info("event", value=loop)
    assert last(logged)["event"] == "event"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("logged")
def test_without_a_setting_the_stream_decides() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        logs.configure(json=None, stream=stream)
        structlog.get_logger().info("bridge_up", bridge="main")
    assert "\x1b[" in terminal.getvalue()
    assert "{" not in terminal.getvalue()
    assert last(file)["event"] == "bridge_up"
    logs.configure(json=False, stream=file)
    structlog.get_logger().info("bridge_up", bridge="main")
    assert "\x1b[" not in file.getvalue()


def test_a_terminal_gets_words_and_no_json(coloured: io.StringIO) -> None:
    structlog.get_logger().info("bridge_up", bridge="main")
    assert "bridge_up" in coloured.getvalue()
    assert "{" not in coloured.getvalue()
