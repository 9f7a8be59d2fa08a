"""Time that stands still until everybody waits, and then jumps: an hour takes no time."""

from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog
from trio.testing import MockClock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture(autouse=True, scope="package")
def _quiet() -> Iterator[None]:
    """Drop what is logged, since rendering it would take most of the time."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent
