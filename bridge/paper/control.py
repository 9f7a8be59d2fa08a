"""The remote control of the pretend exchanges, under `/_paper/`.

GET    /_paper/health        200 once it serves
POST   /_paper/credentials   {exchange, api_key, api_secret, password?, balances?}: open or
replace an account; balances are decimal strings by asset
DELETE /_paper/credentials   {exchange, api_key}: revoke
POST   /_paper/markets       {count}: how many pairs every exchange trades; GET tells
POST   /_paper/faults        {exchange, kind, only?, times?, ...}: misbehave, see `faults`
DELETE /_paper/faults        ?exchange=: behave again
GET    /_paper/stats         how many requests came, by exchange and class
DELETE /_paper/stats         count from nothing again
"""

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from bridge.paper import faults
from bridge.paper.ledger import Account
from bridge.paper.state import Paper

router = APIRouter(prefix="/_paper")
Exchange = Literal["binance", "bybit", "kraken", "kucoin", "okx"]


async def _paper(request: Request) -> Paper:
    return cast("Paper", request.app.state.paper)


State = Annotated[Paper, Depends(_paper)]


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


class Markets(BaseModel):
    count: Annotated[int, Field(ge=0, le=20_000)]


class NewFault(BaseModel):
    """See `faults.Fault`; `only` is account, markets, currencies or other."""

    exchange: Exchange
    kind: faults.Kind
    only: str = ""
    times: Annotated[int, Field(ge=1)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] = 503
    body: str = ""
    retry_after: int | str = 7


@router.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.post("/credentials")
async def put_account(body: NewAccount, paper: State) -> dict[str, bool]:
    account = Account(body.api_key, body.api_secret, body.password, dict(body.balances))
    paper.ledger.put(body.exchange, account)
    return {"success": True}


@router.delete("/credentials")
async def drop_account(body: OldAccount, paper: State) -> dict[str, bool]:
    return {"success": True, "removed": paper.ledger.drop(body.exchange, body.api_key)}


@router.post("/markets")
async def put_markets(body: Markets, paper: State) -> dict[str, int]:
    paper.ledger.trade(body.count)
    return {"count": len(paper.ledger.markets)}


@router.get("/markets")
async def markets(paper: State) -> dict[str, int]:
    return {"count": len(paper.ledger.markets)}


@router.post("/faults")
async def put_fault(body: NewFault, paper: State) -> dict[str, bool]:
    told = body.model_dump(exclude={"exchange"})
    fault = faults.Fault(**{**told, "retry_after": str(body.retry_after)})
    paper.faults.put(body.exchange, fault)
    return {"success": True}


@router.delete("/faults")
async def clear_faults(paper: State, exchange: Exchange | None = None) -> dict[str, bool]:
    paper.faults.clear(exchange)
    return {"success": True}


@router.get("/stats")
async def stats(paper: State) -> dict[str, Any]:
    return {"requests": {name: dict(counts) for name, counts in paper.heard.items()}}


@router.delete("/stats")
async def forget_stats(paper: State) -> dict[str, bool]:
    paper.heard.clear()
    return {"success": True}


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def nothing(path: str) -> None:
    raise HTTPException(404, f"no control called {path}")
