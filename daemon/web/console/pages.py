"""What the console shows: each page from the roster, so that who watches costs no query."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast
from urllib.parse import urlencode

import anyio
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.history import Excerpt, History
from daemon.store.status import KeyStatus
from daemon.store.trends import Hour, last_day
from daemon.web.api.balances import Telling
from daemon.web.api.connectors import Rostered, Wish
from daemon.web.api.parts import Id, Keeping
from daemon.web.console import chart
from daemon.web.console.doors import Own, Page, Seen
from daemon.web.console.outlook import bridge_words, outlook
from daemon.web.console.paper import page, tag_of
from daemon.web.forms import Forms
from daemon.web.listing import BadCursor, page_of
from daemon.web.problems import Problem
from daemon.web.roster import Snapshot
from daemon.words import BUTTONS, cure, sentence
from reconciler.model import ClientId, KeyId

routes = APIRouter(route_class=Page, include_in_schema=False)
_PAGE = 50
_SHOWN = 50
_Show = Callable[[], Coroutine[Any, Any, Response]]


@dataclass
class Trends:
    """The last day hour by hour, asked once a minute at most, for all who look."""

    engine: AsyncEngine
    seconds: float = 60.0

    def __post_init__(self) -> None:
        self._hours: list[Hour] = []
        self._until, self._asking = 0.0, anyio.Lock()

    async def hours(self) -> list[Hour]:
        async with self._asking:
            began = anyio.current_time()
            if began >= self._until:
                self._hours = list(await last_day(self.engine))
                took = anyio.current_time() - began
                self._until = began + max(self.seconds, took * 20)
            return self._hours


async def unless_same(request: Request, tag: str, show: _Show) -> Response:
    """Return the page, or 304 if who watches it has it already."""
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    response = await show()
    response.headers["ETag"] = tag
    return response


@routes.get("/console")
async def show_overview(request: Request, roster: Rostered, visitor: Seen) -> Response:
    snapshot = await roster.now()
    trends = cast("Trends", request.app.state.trends)

    async def show() -> Response:
        hours = await trends.hours()
        return page(
            request,
            "overview.html",
            visitor=visitor,
            version=snapshot.version,
            outlook=outlook(snapshot),
            snapshot=snapshot,
            bridge_words=bridge_words,
            success=chart.success(hours),
            convergence=chart.convergence(hours),
            ratio=chart.ratio(hours),
            typical=chart.typical(hours),
            paused=_pause_of(snapshot, "all", ""),
        )

    return await unless_same(request, tag_of(snapshot.version, visitor.caller.role), show)


@routes.get("/console/keys")
async def show_keys(request: Request, roster: Rostered, wish: Wish, visitor: Seen) -> Response:
    snapshot = await roster.now()
    wish = replace(wish, limit=min(wish.limit, _PAGE))
    try:
        found = page_of(snapshot, wish)
    except BadCursor as error:
        raise Problem("invalid", str(error)) from None
    asked = {k: v for k, v in request.query_params.items() if k != "cursor" and v}

    def link(**more: str | None) -> str:
        wanted = {k: v for k, v in (asked | more).items() if v is not None}
        return "/console/keys?" + urlencode(wanted)

    async def show() -> Response:
        return page(
            request,
            "keys.html",
            visitor=visitor,
            version=snapshot.version,
            rows=[_row(key) for key in found.keys],
            found=found,
            wish=wish,
            link=link,
            everything=len(snapshot.keys),
            exchanges=sorted({key.exchange for key in snapshot.keys}),
        )

    return await unless_same(request, tag_of(snapshot.version, str(request.url)), show)


@routes.get("/console/clients")
async def show_clients(
    request: Request,
    keeper: Keeping,
    roster: Rostered,
    visitor: Seen,
    q: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    snapshot = await roster.now()

    async def show() -> Response:
        words = q.casefold().split()
        known = [c for c in await keeper.clients() if all(w in c.name.casefold() for w in words)]
        return page(
            request,
            "clients.html",
            visitor=visitor,
            version=snapshot.version,
            clients=known[after : after + _SHOWN],
            total=len(known),
            after=after,
            more=after + _SHOWN if after + _SHOWN < len(known) else None,
            q=q,
            urlencode=urlencode,
        )

    return await show()


@routes.get("/console/clients/{client_id}")
async def show_client(  # noqa: PLR0913 - what it needs and what the form held
    request: Request,
    client_id: Id,
    keeper: Keeping,
    roster: Rostered,
    forms: Forms,
    visitor: Seen,
    *,
    exchange: Annotated[str, Query(max_length=100)] = "",
    label: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    snapshot = await roster.now()
    mine = [key for key in snapshot.keys if key.client_id == client_id]

    async def show() -> Response:
        return page(
            request,
            "client.html",
            visitor=visitor,
            version=snapshot.version,
            client=await keeper.client(ClientId(client_id)),
            keys=await keeper.keys(ClientId(client_id)),
            paused=_pause_of(snapshot, "client", str(client_id)),
            exchanges=await forms.exchanges(),
            exchange=exchange,
            label=label,
        )

    return await unless_same(request, tag_of(mine, snapshot.pauses, exchange), show)


@routes.get("/console/clients/{client_id}/balances")
async def show_balances(
    request: Request, client_id: Id, teller: Telling, visitor: Seen
) -> Response:
    statement = await teller.balances(ClientId(client_id))
    return page(request, "balances.html", visitor=visitor, statement=statement)


@routes.get("/console/mine")
async def show_mine(request: Request, teller: Telling, visitor: Own) -> Response:
    whose = visitor.caller.client_id
    if whose is None:
        raise Problem("not_found", "This token is of no client.")
    statement = await teller.balances(whose)
    return page(request, "mine.html", visitor=visitor, statement=statement)


@routes.get("/console/keys/{key_id}")
async def show_key(
    request: Request, key_id: Id, keeper: Keeping, roster: Rostered, visitor: Seen
) -> Response:
    snapshot = await roster.now()
    mine = [key for key in snapshot.keys if key.key_id == key_id]

    async def show() -> Response:
        key = await keeper.key(KeyId(key_id))
        history = History(keeper.engine)
        return page(
            request,
            "key.html",
            visitor=visitor,
            version=snapshot.version,
            key=key,
            paused=_pause_of(snapshot, "key", str(key_id)),
            events=await _events(history, Excerpt(keys=[KeyId(key_id)])),
        )

    return await unless_same(request, tag_of(mine, snapshot.pauses), show)


@routes.get("/console/history")
async def show_history(request: Request, keeper: Keeping, visitor: Seen) -> Response:
    events = await _events(History(keeper.engine), Excerpt())
    return page(request, "history.html", visitor=visitor, events=events)


async def _events(history: History, excerpt: Excerpt) -> list[dict[str, Any]]:
    """Return the newest events, the newest first, in words."""
    return [_event(event) for event in reversed(await history.events(excerpt, _SHOWN))]


def _event(event: Any) -> dict[str, Any]:
    common = {"at": event.at, "key_id": event.key_id, "where": f"{event.account}/{event.connector}"}
    if hasattr(event, "verdict"):
        said = f"{event.verdict}: {event.message}" if event.message else event.verdict
        took = f"{event.action} took {event.seconds:.2f} s"
        return common | {"what": took, "words": said, "well": event.verdict == "done"}
    before = f"{event.from_phase} → " if event.from_phase else ""
    words = sentence(event.to_reason, event.message)
    well = event.to_phase == "live"
    return common | {"what": f"{before}{event.to_phase}", "words": words, "well": well}


def _row(key: KeyStatus) -> dict[str, Any]:
    return {
        "key": key,
        "why": sentence(key.reason, key.message),
        "todo": cure(key.reason, BUTTONS),
    }


def _pause_of(snapshot: Snapshot, scope: str, whose: str) -> Any:
    found = [p for p in snapshot.pauses if (p.scope, p.id) == (scope, whose)]
    return found[0] if found else None
