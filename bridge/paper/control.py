"""The remote control of the pretend exchanges, under `/_paper/`.

    GET    /_paper/health        200 once it serves
    POST   /_paper/credentials   open or replace an account, see `NewAccount`
    PATCH  /_paper/credentials   {exchange, api_key, ...}: change what is given, of the same fields
    DELETE /_paper/credentials   {exchange, api_key}: revoke
    GET    /_paper/credentials   ?exchange=: all accounts, without secrets
    POST   /_paper/markets       {count}: how many pairs every exchange trades; GET tells
    POST   /_paper/faults        {exchange, kind, only?, times?, ...}: misbehave, see `faults`
    DELETE /_paper/faults        ?exchange=: behave again
    POST   /_paper/clock         {exchange, ahead_ms}: put its clock wrong
    GET    /_paper/stats         requests, by exchange and class; with ?exchange=&api_key= those
                                 that one account has signed
    DELETE /_paper/stats         count from nothing again
    GET    /_paper/requests      ?exchange=: the last thousand: method, path, class, status

Classes are account, rights, orders, markets, currencies, other.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import AwareDatetime, BaseModel, Field

from bridge.paper import faults
from bridge.paper.ledger import Account, Right
from bridge.paper.state import Paper

router = APIRouter(prefix="/_paper")
Exchange = Literal["binance", "bybit", "kraken", "kucoin", "okx"]


async def _paper(request: Request) -> Paper:
    return cast("Paper", request.app.state.paper)


State = Annotated[Paper, Depends(_paper)]


class OldAccount(BaseModel):
    exchange: Exchange
    api_key: Annotated[str, Field(min_length=1)]


class NewAccount(OldAccount):
    """See `ledger.Account`; `expires_at` is a time with zone, null for never."""

    api_secret: Annotated[str, Field(min_length=1)]
    password: str = ""
    balances: dict[str, str] = {}
    funding: dict[str, str] = {}
    rights: frozenset[Right] = frozenset({"read", "trade"})
    addresses: tuple[str, ...] = ()
    expires_at: AwareDatetime | None = None
    classic: bool = False


class Change(NewAccount):
    """Fields that are not there stay as they are."""

    api_secret: str = ""


class Markets(BaseModel):
    count: Annotated[int, Field(ge=0, le=20_000)]


class Clock(BaseModel):
    exchange: Exchange
    ahead_ms: int


class NewFault(BaseModel):
    """See `faults.Fault`; `only` is account, markets, currencies or other."""

    exchange: Exchange
    kind: faults.Kind
    only: str = ""
    times: Annotated[int, Field(ge=1)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: str = ""
    retry_after: int | str = 7
    seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0


@router.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.post("/credentials")
async def put_account(body: NewAccount, paper: State) -> dict[str, bool]:
    account = Account(body.api_key, body.api_secret)
    _change(account, body, set(NewAccount.model_fields))
    paper.ledger.put(body.exchange, account)
    return {"success": True}


@router.patch("/credentials")
async def change_account(body: Change, paper: State) -> dict[str, bool]:
    _change(_account(paper, body.exchange, body.api_key), body, body.model_fields_set)
    return {"success": True}


@router.get("/credentials")
async def accounts(paper: State, exchange: Exchange | None = None) -> dict[str, Any]:
    return {"accounts": [_shown(*each) for each in paper.ledger.accounts(exchange)]}


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
    told = body.model_dump(exclude={"exchange"}, exclude_none=True)
    fault = faults.Fault(**{**told, "retry_after": str(body.retry_after)})
    paper.faults.put(body.exchange, fault)
    return {"success": True}


@router.delete("/faults")
async def clear_faults(paper: State, exchange: Exchange | None = None) -> dict[str, bool]:
    paper.faults.clear(exchange)
    return {"success": True}


@router.post("/clock")
async def put_clock(body: Clock, paper: State) -> dict[str, bool]:
    paper.ahead_ms[body.exchange] = body.ahead_ms
    return {"success": True}


@router.get("/stats")
async def stats(
    paper: State, exchange: Exchange | None = None, api_key: str | None = None
) -> dict[str, Any]:
    if exchange and api_key:
        return {"requests": dict(_account(paper, exchange, api_key).heard)}
    return {"requests": {name: dict(counts) for name, counts in paper.heard.items()}}


@router.get("/requests")
async def requests(paper: State, exchange: Exchange | None = None) -> dict[str, Any]:
    found = [asked for asked in paper.log if exchange in (None, asked.exchange)]
    return {"requests": [asked._asdict() for asked in found]}


@router.delete("/stats")
async def forget_stats(paper: State) -> dict[str, bool]:
    paper.forget()
    return {"success": True}


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def nothing(path: str) -> None:
    raise HTTPException(404, f"no control called {path}")


def _account(paper: Paper, exchange: Exchange, api_key: str) -> Account:
    found = paper.ledger.find(exchange, api_key)
    if found is None:
        raise HTTPException(404, "no such account on paper")
    return found


def _change(account: Account, body: NewAccount, given: set[str]) -> None:
    given = given - {"exchange", "api_key"}
    for name in given - {"expires_at"}:
        setattr(account, name, getattr(body, name))
    if "expires_at" in given:
        account.expires_ms = int(body.expires_at.timestamp() * 1000) if body.expires_at else 0


def _shown(exchange: str, account: Account) -> dict[str, Any]:
    expires = account.expires_ms / 1000
    return {
        "exchange": exchange,
        "api_key": account.api_key,
        "balances": account.balances,
        "funding": account.funding,
        "rights": sorted(account.rights),
        "addresses": account.addresses,
        "expires_at": datetime.fromtimestamp(expires, UTC).isoformat() if expires else None,
        "classic": account.classic,
        "requests": dict(account.heard),
    }
