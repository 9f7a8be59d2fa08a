"""The HTTP face of the bridge: routes, and failures put into words."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import anyio.to_thread
import structlog
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bridge import catalogue
from bridge.connectors import Account, Connector, Registry
from bridge.door import Door
from bridge.errors import STATUSES, Code, Trouble
from bridge.exchanges import Shelf
from bridge.listing import Listings, Snapshot
from bridge.metrics import Metrics
from bridge.models import Credentials, NewAccount, NewConnector, Slot
from bridge.service import Service
from bridge.session import opened

log = structlog.get_logger()
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Settings:
    """`token` guards everything but health; `exchange_origin` stands in for all exchanges.

    `timeout_s` bounds one request to an exchange, `limit_s` all that one question needs.
    """

    token: str | None = None
    exchange_origin: str | None = None
    timeout_s: float = 10.0
    limit_s: float = 20.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the bridge; it opens its session to the exchanges when it starts."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _service(settings) as app.state.service:
            app.state.listings = Listings()
            yield

    app = FastAPI(title="Trading Bridge", lifespan=lifespan)
    app.include_router(router)
    app.add_middleware(cast("Any", Door), token=settings.token)
    app.add_exception_handler(Trouble, _tell_trouble)
    app.add_exception_handler(RequestValidationError, _tell_malformed)
    app.add_exception_handler(HTTPException, _tell_status)
    app.add_exception_handler(Exception, _tell_nothing)
    return app


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[Service]:
    if settings.exchange_origin is not None:
        log.warning("exchanges_replaced_by_a_stand_in", origin=settings.exchange_origin)
    async with opened(settings.exchange_origin) as outward:
        shelf = Shelf(outward, timeout_s=settings.timeout_s)
        registry = Registry()
        try:
            yield Service(registry, shelf, Metrics(registry.boot_id), settings.limit_s)
        finally:
            await shelf.close()


async def _of_service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


Serving = Annotated[Service, Depends(_of_service)]


@router.get("/livez", tags=["health"])
@router.get("/readyz", tags=["health"])
@router.get("/health", tags=["health"])
async def health(serving: Serving) -> dict[str, str]:
    """Say that the process serves; exchanges have no part in that."""
    return {"status": "ok", "boot_id": serving.registry.boot_id}


@router.get("/metrics", tags=["health"])
async def metrics(serving: Serving) -> Response:
    """Return Prometheus' text format."""
    text = serving.metrics.render(serving.registry.counts)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/accounts", tags=["accounts"])
async def accounts(request: Request, serving: Serving) -> Response:
    """List accounts by name, with `boot_id`; knows ETag and 304."""

    def snapshot() -> Callable[[], Any]:
        found = [(a, sorted(a.connectors)) for a in serving.registry.accounts()]
        boot_id = serving.registry.boot_id
        return lambda: {"accounts": [_account(*each) for each in found], "boot_id": boot_id}

    return await _listed(request, serving, "accounts", snapshot)


@router.get("/accounts/{name}", tags=["accounts"])
async def account(name: str, serving: Serving) -> dict[str, Any]:
    found = serving.registry.account(name)
    return _account(found, sorted(found.connectors))


@router.post("/accounts/create", tags=["accounts"])
async def create_account(body: NewAccount, serving: Serving) -> dict[str, Any]:
    """Make sure that the account exists."""
    name = body.account_name
    news = "created" if serving.registry.create(name) else "exists already"
    return {"success": True, "account_name": name, "message": f"Account '{name}' {news}"}


@router.get("/connectors/supported", tags=["connectors"])
async def supported() -> dict[str, Any]:
    """List every exchange, with the fields that each needs and its testnet's name, if any."""
    found = await anyio.to_thread.run_sync(catalogue.catalogue)
    return {"supported_exchanges": sorted(found), "exchanges": found}


@router.get("/connectors", tags=["connectors"])
async def connectors(
    request: Request,
    serving: Serving,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int | None, Query(ge=1, le=100_000)] = None,
) -> Response:
    """List connectors by account and name, with `boot_id`; knows ETag, 304 and gzip.

    With `limit`, pages: `next_cursor` is the `cursor` of the next page, null at the end.
    """

    def snapshot() -> Callable[[], Any]:
        found, boot_id = list(serving.registry.listing()), serving.registry.boot_id
        return lambda: _page(found, boot_id, cursor, limit)

    name = f"connectors?{cursor}&{limit}"
    return await _listed(request, serving, name, snapshot)


@router.post("/connectors/add", tags=["connectors"])
async def add(
    body: NewConnector, serving: Serving, *, verify: Annotated[bool, Query()] = False
) -> dict[str, Any]:
    """Hold a connector, in place of the one in its slot.

    No call to the exchange, unless `verify=true`: then nothing changes unless the call succeeds.
    """
    offered = body.offered()
    added = await serving.add(
        body.account_name, body.connector_name, offered, body.fingerprint, verify=verify
    )
    return {
        "success": True,
        "connector": added.connector,
        "message": f"Connector '{added.connector}' {added.news} for '{body.account_name}'",
        "markets_loaded": added.markets_loaded,
    }


@router.post("/connectors/verify", tags=["connectors"])
async def verify(body: Slot, serving: Serving) -> dict[str, Any]:
    """Prove a connector by an authenticated call."""
    proven = await serving.verify(body.account_name, body.connector_name)
    return {"success": True, "verified_at": _stamp(proven)}


@router.post("/credentials/check", tags=["connectors"])
async def check(body: Credentials, serving: Serving) -> dict[str, Any]:
    """Prove credentials without touching any connector."""
    await serving.check(body.connector_name, body.offered())
    return {"success": True, "connector": catalogue.canonical(body.connector_name)}


@router.delete("/connectors/{account}/{connector}", tags=["connectors"])
async def remove(
    account: str, connector: str, serving: Serving, fingerprint: str | None = None
) -> dict[str, bool]:
    """Drop a connector, if it has that fingerprint when one is given."""
    return {"success": True, "removed": serving.remove(account, connector, fingerprint)}


@router.get("/portfolio", tags=["portfolio"])
async def portfolio(account: str, serving: Serving) -> dict[str, Any]:
    """Return balances by exchange and asset; what could not be read is an error with a code."""
    return {"account": account, "balances": await serving.portfolio(account)}


async def _listed(request: Request, serving: Service, name: str, snapshot: Snapshot) -> Response:
    listings = cast("Listings", request.app.state.listings)
    version = f"{serving.registry.boot_id}-{serving.registry.version}"
    return await listings.answer(request, name, version, snapshot)


def _account(account: Account, names: list[str]) -> dict[str, Any]:
    # Without zone, as bridges in the field write it.
    created = account.created_at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return {"name": account.name, "connectors": names, "created_at": created}


def _page(
    found: list[Connector], boot_id: str, cursor: str | None, limit: int | None
) -> dict[str, Any]:
    if cursor is not None:
        account, _, name = cursor.partition("/")  # by parts: "a b/x" sorts before "a/x"
        found = [c for c in found if (c.account, c.name) > (account, name)]
    page = found if limit is None else found[:limit]
    answer: dict[str, Any] = {
        "boot_id": boot_id,
        "connectors": [_connector(c) for c in page],
    }
    if limit is not None:
        answer["next_cursor"] = _cursor(page[-1]) if len(page) < len(found) else None
    return answer


def _cursor(connector: Connector) -> str:
    return f"{connector.account}/{connector.name}"


def _connector(connector: Connector) -> dict[str, Any]:
    return {
        "account": connector.account,
        "connector": connector.name,
        "fingerprint": connector.fingerprint,
        "added_at": _stamp(connector.added_at),
        "verified_at": _stamp(connector.verified_at),
        "state": connector.state,
    }


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def _tell_trouble(_request: Request, error: Exception) -> JSONResponse:
    trouble = cast("Trouble", error)
    after = trouble.retry_after
    headers = None if after is None else {"Retry-After": str(math.ceil(after))}
    return _told(STATUSES[trouble.code], trouble.detail, trouble.code, headers)


async def _tell_malformed(_request: Request, error: Exception) -> JSONResponse:
    """Name the fields and nothing that was in them; FastAPI's own answer repeats the body."""
    found = cast("RequestValidationError", error).errors()
    problems = [f"{_place(e['loc'])}: {e['type']}" for e in found]
    return _told(422, "; ".join(problems[:10]), "malformed")


def _place(loc: tuple[str | int, ...]) -> str:
    return ".".join(part for part in loc[1:] if isinstance(part, str)) or "body"


async def _tell_status(_request: Request, error: Exception) -> JSONResponse:
    status = cast("HTTPException", error).status_code
    code: Code = "not_found" if status == 404 else "malformed"
    words = {404: "Not found", 405: "Method not allowed"}.get(status, "Bad request")
    return _told(status, words, code, cast("HTTPException", error).headers)


async def _tell_nothing(_request: Request, _error: Exception) -> JSONResponse:
    return _told(500, "Something went wrong inside the bridge", "unclear")


def _told(status: int, detail: str, code: Code, headers: Any = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "code": code}, status, headers)
