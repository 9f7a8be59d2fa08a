"""The requests that the bridge answers; what they do is in `service`, how it looks in `views`."""

from collections.abc import Callable
from typing import Annotated, Any, cast

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from bridge import catalogue, openapi, views
from bridge.listing import Listings, Snapshot
from bridge.models import Check, NewAccount, NewConnector, Slot
from bridge.service import Service

router = APIRouter()


async def _of_service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


Serving = Annotated[Service, Depends(_of_service)]
Cursor = Annotated[str | None, Query(max_length=400)]
Wait = Annotated[float | None, Query(gt=0, le=60)]
Limit = Annotated[int | None, Query(ge=1, le=100_000)]


@router.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Any:
    """Describe all of this. It holds no secret, yet only probes need to come in without a token."""
    return openapi.describe(request.app)


@router.get("/livez", tags=["health"])
@router.get("/readyz", tags=["health"])
@router.get("/health", tags=["health"])
async def health(serving: Serving) -> dict[str, str]:
    """Say that the process serves; exchanges have no part in that."""
    return {"status": "ok", "boot_id": serving.registry.boot_id}


@router.get("/metrics", tags=["health"])
async def metrics(serving: Serving) -> Response:
    """Return Prometheus' text format."""
    text = serving.metrics.render(serving.registry, serving.shelf)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/accounts", tags=["accounts"])
async def accounts(
    request: Request, serving: Serving, cursor: Cursor = None, limit: Limit = None
) -> Response:
    """List accounts by name, with `boot_id`; knows ETag, 304 and gzip.

    With `limit`, pages: `next_cursor` is the `cursor` of the next page, null at the end.
    """

    def snapshot() -> Callable[[], Any]:
        found = [(a, sorted(a.connectors)) for a in serving.registry.accounts()]
        boot_id = serving.registry.boot_id
        return lambda: views.page_of_accounts(found, boot_id, cursor, limit)

    return await _listed(request, serving, f"accounts?{cursor}&{limit}", snapshot)


@router.get("/accounts/{name}", tags=["accounts"])
async def account(name: str, serving: Serving) -> dict[str, Any]:
    """Tell which connectors an account holds."""
    found = serving.registry.account(name)
    return views.account(found, sorted(found.connectors))


@router.post("/accounts/create", tags=["accounts"])
async def create_account(body: NewAccount, serving: Serving) -> dict[str, Any]:
    """Make sure that the account exists."""
    name = body.account_name
    news = "created" if serving.registry.create(name) else "exists already"
    return {"success": True, "account_name": name, "message": f"Account '{name}' {news}"}


@router.get("/connectors/supported", tags=["connectors"])
async def supported() -> dict[str, Any]:
    """List every exchange: the fields it needs, its testnet's name, what a balance proves.

    `proves` is false where anybody may read a balance; `unproven` are the fields that an answer
    says nothing about; `own_copy` is what its connectors do not share, and why. `left_out` tells
    why the other exchanges of ccxt's are not served.
    """
    return await anyio.to_thread.run_sync(catalogue.supported)


@router.get("/connectors", tags=["connectors"])
async def connectors(
    request: Request, serving: Serving, cursor: Cursor = None, limit: Limit = None
) -> Response:
    """List connectors by account and name, with `boot_id`; knows ETag, 304 and gzip.

    With `limit`, pages: `next_cursor` is the `cursor` of the next page, null at the end.
    """

    def snapshot() -> Callable[[], Any]:
        found, boot_id = list(serving.registry.listing()), serving.registry.boot_id
        return lambda: views.page_of_connectors(found, boot_id, cursor, limit)

    return await _listed(request, serving, f"connectors?{cursor}&{limit}", snapshot)


@router.post("/connectors/add", tags=["connectors"])
async def add(
    body: NewConnector, serving: Serving, *, verify: Annotated[bool, Query()] = False
) -> dict[str, Any]:
    """Hold a connector, in place of the one in its slot.

    No call to the exchange, unless `verify=true`: then nothing changes unless the call succeeds,
    and the answer tells what `/connectors/verify` does.
    """
    offered = body.offered()
    added = await serving.add(
        body.account_name, body.connector_name, offered, body.fingerprint, verify=verify
    )
    return {
        "success": True,
        "connector": added.connector,
        "message": views.news(added, body.account_name),
        "markets_loaded": added.markets_loaded,
        **(views.proof(added.proof) if added.proof else {}),
    }


@router.post("/connectors/verify", tags=["connectors"])
async def verify(body: Slot, serving: Serving) -> dict[str, Any]:
    """Prove a connector by an authenticated call, and tell what its key may do.

    `verified_at` is null where the exchange answers anybody: then nothing is proven.
    """
    found = await serving.verify(body.account_name, body.connector_name)
    return {"success": True, **views.proof(found)}


@router.post("/credentials/check", tags=["connectors"])
async def check(body: Check, serving: Serving) -> dict[str, Any]:
    """Prove credentials without touching any connector."""
    found = await serving.check(body.connector_name, body.offered(), body.account_name)
    connector = catalogue.canonical(body.connector_name)
    return {"success": True, "connector": connector, **views.proof(found)}


@router.delete("/connectors/{account}/{connector}", tags=["connectors"])
async def remove(
    account: str, connector: str, serving: Serving, fingerprint: str | None = None
) -> dict[str, bool]:
    """Drop a connector, if it has that fingerprint when one is given."""
    return {"success": True, "removed": serving.remove(account, connector, fingerprint)}


@router.get("/portfolio", tags=["portfolio"])
async def portfolio(account: str, serving: Serving, wait: Wait = None) -> dict[str, Any]:
    """Return balances by exchange and asset; what could not be read is an error with a code.

    With `wait`, in seconds, an exchange that takes longer has the code `timeout`: the others are
    told without it, and who asks again within 30 seconds of its answer gets that.
    """
    return {"account": account, "balances": await serving.portfolio(account, wait)}


async def _listed(request: Request, serving: Service, name: str, snapshot: Snapshot) -> Response:
    listings = cast("Listings", request.app.state.listings)
    version = f"{serving.registry.boot_id}-{serving.registry.version}"
    return await listings.answer(request, name, version, snapshot)
