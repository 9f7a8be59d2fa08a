"""Puts the bridge together: settings, what lives as long as the process, who is asked first."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import structlog
from fastapi import FastAPI

from bridge import problems
from bridge.connectors import Registry
from bridge.door import Door
from bridge.egress import NO_RULES, Rules
from bridge.lag import lag_told
from bridge.listing import Listings
from bridge.manners import Manners
from bridge.metrics import Metrics
from bridge.routes import router
from bridge.service import Service
from bridge.session import ways
from bridge.shelf import Shelf

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settings:
    """`token` guards everything but health; `exchange_origin` stands in for all exchanges.

    `timeout_s` bounds one request to an exchange, `limit_s` all that one question needs. `paced`:
    keep to each exchange's rate; None means unless a stand-in is asked. Markets are loaded anew
    about every `refresh_s`. `egress` says by which way which exchanges and accounts ask.
    `certificate_expires` returns when the certificate that is shown ends, in Unix time.
    """

    token: str | None = None
    exchange_origin: str | None = None
    timeout_s: float = 10.0
    limit_s: float = 20.0
    paced: bool | None = None
    refresh_s: float = 3600.0
    egress: Rules = NO_RULES
    certificate_expires: Callable[[], float] | None = None


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the bridge; it opens its session to the exchanges when it starts."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _service(settings) as app.state.service:
            app.state.listings = Listings()
            yield

    app = FastAPI(title="Trading Bridge", lifespan=lifespan, openapi_url=None)
    app.include_router(router)
    app.add_middleware(cast("Any", Manners), routes=router.routes)
    app.add_middleware(cast("Any", Door), token=settings.token)
    problems.tell(app)
    return app


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[Service]:
    if settings.exchange_origin is not None:
        log.warning("exchanges_replaced_by_a_stand_in", origin=settings.exchange_origin)
    async with ways(settings.egress, settings.exchange_origin) as found:
        registry = Registry()
        metrics = Metrics(registry.boot_id, settings.certificate_expires)
        shelf = Shelf(
            found,
            timeout_s=settings.timeout_s,
            refresh_s=settings.refresh_s,
            paced=settings.paced,
            watch=metrics,
        )
        service = Service(registry, shelf, metrics, settings.limit_s)
        fresh = asyncio.create_task(shelf.keep_fresh())
        try:
            with lag_told(metrics.lagged):
                yield service
        finally:
            service.close()
            fresh.cancel()
            await shelf.close()
