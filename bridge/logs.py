"""One line per fact on stderr, scrubbed, whoever logs it: JSON, or words on a terminal."""

import logging
import sys
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.scrub import GONE, scrub

_PRIVATE = ("api_key", "api_secret", "password", "passphrase", "memo", "token", "authorization")
_PLAIN = (bool, int, float, type(None))
_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def scrubbed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take secrets out of every value; the last processor before the renderer."""
    for key, value in event.items():
        if key.lower() in _PRIVATE:
            event[key] = GONE
        elif not isinstance(value, _PLAIN):
            event[key] = scrub(str(value), limit=4000)
    return event


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library to one place, in one form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(json=not handler.stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # At DEBUG these print requests and headers, API keys among them; nobody may turn that on.
    for chatty in ("ccxt", "aiohttp", "asyncio", "uvicorn", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    sys.unraisablehook = _unraisable
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger("bridge").critical("crashed", exc_info=(kind, error, trace))


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    """What a destructor raises has nobody to be raised to."""
    trouble = (args.exc_type, args.exc_value, args.exc_traceback)
    structlog.get_logger("bridge").error("unraisable", where=repr(args.object), exc_info=trouble)


def _formatter(*, json: bool) -> logging.Formatter:
    renderer: Processor = structlog.processors.JSONRenderer()
    if not json:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=plain)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            scrubbed,
            renderer,
        ],
    )
