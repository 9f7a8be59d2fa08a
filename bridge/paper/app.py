"""Hears for all pretend exchanges on one port, and answers as the one that was meant."""

import time
from types import ModuleType

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from bridge.paper import control, faults
from bridge.paper.markets import FIRST
from bridge.paper.state import EXCHANGES, Paper
from bridge.paper.wire import Asked

__all__ = ["EXCHANGES", "Paper", "create_paper"]


def create_paper(markets: int = len(FIRST)) -> FastAPI:
    """Return the app; its `Paper` is at `app.state.paper`."""
    app = FastAPI(title="Paper exchange", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.paper = Paper(markets)
    app.include_router(control.router)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.add_api_route("/{path:path}", _answer, methods=methods)
    return app


async def _answer(request: Request) -> Response:
    """Speak for the exchange that the Host header names."""
    paper: Paper = request.app.state.paper
    host = request.headers.get("host", "").partition(":")[0]
    exchange = _named(host)
    if exchange is None:
        return JSONResponse({"detail": f"no exchange on paper is called {host}"}, 421)
    classed = exchange.classed(request.url.path)
    asked = await _asked(request, paper.ahead_ms[exchange.NAME])
    said = exchange.answer(asked, paper.ledger)
    paper.note(exchange, asked, classed, said.status)
    fault = paper.faults.take(exchange.NAME, classed)
    if fault is None:
        return JSONResponse(said.payload, said.status)
    return await faults.strike(fault, request, faults.spoiled(fault, exchange, said))


def _named(host: str) -> ModuleType | None:
    for exchange in EXCHANGES:
        if any(host == h or host.endswith(f".{h}") for h in exchange.HOSTS):
            return exchange
    return None


async def _asked(request: Request, ahead_ms: int) -> Asked:
    return Asked(
        request.method,
        request.url.path,
        request.scope["query_string"].decode("latin-1"),
        {name.lower(): value for name, value in request.headers.items()},
        (await request.body()).decode(),
        time.time_ns() // 1_000_000 + ahead_ms,
        request.client.host if request.client else "",
    )
