"""One event per fact, whoever logs it: JSON in production, colours on a terminal, no secrets."""

import logging
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.scrub import GONE, Disguises, is_private, masked

_DEEPEST = 8
_LONGEST = 20_000
_PLAIN = (bool, int, float, type(None))
# Below this level they print requests, headers and statements; nobody may turn that on.
_CHATTY = (
    *("aiohttp", "alembic", "asyncio", "asyncpg", "httpcore", "httpx", "sqlalchemy"),
    *("uvicorn", "uvicorn.error", "uvicorn.access"),
)
_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "sqlalchemy.engine", "alembic")


class Scrubber:
    """A processor that takes secrets out of every value, however deep, and out of tracebacks."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._known = Disguises(())

    def guard(self, secret: str) -> None:
        """Show this text to nobody from now on, in any of its disguises."""
        if secret:
            self._secrets.add(secret)
            self._known = Disguises(self._secrets)

    def forget(self) -> None:
        self._secrets.clear()
        self._known = Disguises(())

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {name: self._value(name, value, 0) for name, value in event.items()}

    def text(self, text: str) -> str:
        return masked(self._known.taken_from(text[:_LONGEST]))

    def _value(self, name: Any, value: Any, depth: int) -> Any:
        if value is not None and is_private(str(name)):
            return GONE
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, str) or depth >= _DEEPEST:
            return self.text(str(value))
        if isinstance(value, Mapping):
            return {self.text(str(k)): self._value(k, v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value("", item, depth + 1) for item in value]
        return self.text(repr(value))


_SCRUBBER = Scrubber()
guard = _SCRUBBER.guard


def configure(*, json: bool | None, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send structlog, the standard library and what nobody caught to one place, in one form.

    *json*: None for what suits the stream, words on a terminal and JSON elsewhere.
    """
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    ending = _ending(json=not stream.isatty() if json is None else json, colors=stream.isatty())
    structlog.configure(
        processors=[*_beginning(), *ending],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,  # SIGHUP may change the level
    )
    _catch_standard_library(stream, number, ending)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    sys.unraisablehook = _unraisable
    threading.excepthook = _thread_crashed


def _beginning() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]


def _ending(*, json: bool, colors: bool) -> list[Processor]:
    """Tracebacks become text, without locals, before the scrubber reads everything."""
    renderer: Processor = structlog.processors.JSONRenderer()
    if not json:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=plain, timestamp_key="at"
        )
    return [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _SCRUBBER,
        renderer,
    ]


def _catch_standard_library(stream: TextIO, level: int, ending: list[Processor]) -> None:
    handler = logging.StreamHandler(stream)
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_beginning(), structlog.stdlib.add_logger_name],
            processors=[meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("crashed", exc_info=(kind, error, trace))


def _thread_crashed(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _crashed(args.exc_type, args.exc_value, args.exc_traceback)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    """What a destructor raises has nobody to be raised to."""
    trouble = (args.exc_type, args.exc_value, args.exc_traceback)
    structlog.get_logger().error("unraisable", where=repr(args.object), exc_info=trouble)
