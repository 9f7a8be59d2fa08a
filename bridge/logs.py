"""One JSON line per fact on stderr, scrubbed, whoever logs it."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.scrub import GONE, scrub

_PRIVATE = ("api_key", "api_secret", "password", "passphrase", "memo", "token", "authorization")
_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def scrubbed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take secrets out of every string; the last processor before the renderer."""
    for key, value in event.items():
        if key.lower() in _PRIVATE:
            event[key] = GONE
        elif isinstance(value, str):
            event[key] = scrub(value, limit=4000)
    return event


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library to one place, in one form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # At DEBUG these print requests and headers, API keys among them; nobody may turn that on.
    for chatty in ("ccxt", "aiohttp", "asyncio", "uvicorn", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            scrubbed,
            structlog.processors.JSONRenderer(),
        ],
    )
