"""Hears for all pretend exchanges on one port, and for their remote control."""

import time
from collections import Counter, defaultdict
from types import ModuleType
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from bridge.paper import binance, bybit, faults, kraken, kucoin, ledger, okx
from bridge.paper.wire import Asked

EXCHANGES: tuple[ModuleType, ...] = (binance, bybit, kraken, kucoin, okx)
Exchange = Literal["binance", "bybit", "kraken", "kucoin", "okx"]


class NewAccount(BaseModel):
    """`balances` are decimal strings by asset."""

    exchange: Exchange
    api_key: Annotated[str, Field(min_length=1)]
    api_secret: Annotated[str, Field(min_length=1)]
    password: str = ""
    balances: dict[str, str] = {}


class OldAccount(BaseModel):
    exchange: Exchange
    api_key: str


class NewFault(BaseModel):
    """See `faults.Fault`; `only` is account, markets, currencies or other."""

    exchange: Exchange
    kind: faults.Kind
    only: str = ""
    times: Annotated[int, Field(ge=1)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] = 503
    body: str = ""
    retry_after: int | str = 7


class Paper:
    """The state of all pretend exchanges."""

    def __init__(self, markets: int = len(ledger.MARKETS)) -> None:
        self.ledger = ledger.Ledger(markets)
        self.faults = faults.Faults()
        self.heard: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def answer(self, request: Request) -> Response:
        """Speak for the exchange that the Host header names."""
        host = request.headers.get("host", "").partition(":")[0]
        exchange = _named(host)
        if exchange is None:
            return JSONResponse({"detail": f"no exchange on paper is called {host}"}, 421)
        classed = exchange.classed(request.url.path)
        self.heard[exchange.NAME][classed] += 1
        said = exchange.answer(await _asked(request), self.ledger)
        fault = self.faults.take(exchange.NAME, classed)
        if fault is None:
            return JSONResponse(said.payload, said.status)
        if fault.kind == "hang":
            await _hang(request)
        return faults.spoiled(fault, exchange, said)


def create_paper(markets: int = len(ledger.MARKETS)) -> FastAPI:
    """Return the app; its `Paper` is at `app.state.paper`."""
    app = FastAPI(title="Paper exchange", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.paper = paper = Paper(markets)
    _add_control(app, paper)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.add_api_route("/{path:path}", paper.answer, methods=methods)
    return app


def _add_control(app: FastAPI, paper: Paper) -> None:
    @app.get("/_paper/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/_paper/credentials")
    async def put_account(body: NewAccount) -> dict[str, bool]:
        balances = dict(body.balances)
        account = ledger.Account(body.api_key, body.api_secret, body.password, balances)
        paper.ledger.put(body.exchange, account)
        return {"success": True}

    @app.delete("/_paper/credentials")
    async def drop_account(body: OldAccount) -> dict[str, bool]:
        return {"success": True, "removed": paper.ledger.drop(body.exchange, body.api_key)}

    @app.post("/_paper/faults")
    async def put_fault(body: NewFault) -> dict[str, bool]:
        told = body.model_dump(exclude={"exchange"})
        fault = faults.Fault(**{**told, "retry_after": str(body.retry_after)})
        paper.faults.put(body.exchange, fault)
        return {"success": True}

    @app.delete("/_paper/faults")
    async def clear_faults(exchange: Exchange | None = None) -> dict[str, bool]:
        paper.faults.clear(exchange)
        return {"success": True}

    @app.get("/_paper/stats")
    async def stats() -> dict[str, Any]:
        return {"requests": {name: dict(counts) for name, counts in paper.heard.items()}}

    @app.api_route("/_paper/{path:path}", methods=["GET", "POST", "DELETE"])
    async def nothing(path: str) -> None:
        raise HTTPException(404, f"no control called {path}")


def _named(host: str) -> ModuleType | None:
    for exchange in EXCHANGES:
        if any(host == h or host.endswith(f".{h}") for h in exchange.HOSTS):
            return exchange
    return None


async def _asked(request: Request) -> Asked:
    return Asked(
        request.method,
        request.url.path,
        request.scope["query_string"].decode("latin-1"),
        {name.lower(): value for name, value in request.headers.items()},
        (await request.body()).decode(),
        time.time_ns() // 1_000_000,
    )


async def _hang(request: Request) -> None:
    """Wait until the other side gives up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
