"""What the console shows: each page from the roster, so that who watches costs no query."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, cast
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from daemon.needs import offer_of
from daemon.rights import warnings_of
from daemon.store.history import Excerpt, History
from daemon.store.pauses import Pause
from daemon.store.people import Client
from daemon.store.status import KeyStatus
from daemon.store.trends import Hour, last_day
from daemon.web.api.balances import Telling
from daemon.web.api.connectors import Wish
from daemon.web.api.parts import Id, Keeping
from daemon.web.console import chart
from daemon.web.console.doors import Own, Page, Seen, Visitor
from daemon.web.console.outlook import bridge_words, outlook, troubling
from daemon.web.console.paper import page, tag_of
from daemon.web.console.watching import Looked, shared, unless_same
from daemon.web.forms import Forms
from daemon.web.fresh import Fresh
from daemon.web.keeper import Keeper, Stored
from daemon.web.listing import BadCursor, page_of
from daemon.web.models import KeyState
from daemon.web.problems import Problem
from daemon.web.roster import Snapshot
from daemon.web.standing import Down, down_of, in_place, why
from daemon.words import BUTTONS, cure, sentence
from reconciler.model import BridgeName, ClientId, KeyId, Phase

routes = APIRouter(route_class=Page, include_in_schema=False)
_PAGE = 50
_SHOWN = 50
PHASES = ("live", "pending", "initializing", "retrying", "parked", "conflict", "inactive")


@routes.get("/console")
async def show_overview(
    request: Request, keeper: Keeping, snapshot: Looked, visitor: Seen
) -> Response:
    trends = cast("Fresh[Sequence[Hour]]", request.app.state.trends)

    async def show() -> Response:
        hours, _ = await trends.get("day", partial(last_day, keeper.engine))
        return _shown(
            request,
            "overview.html",
            visitor,
            snapshot,
            outlook=outlook(snapshot),
            success=chart.success(hours),
            convergence=chart.convergence(hours),
            ratio=chart.ratio(hours),
            typical=chart.typical(hours),
            hours=chart.marks(hours),
            phases=PHASES,
            paused=_pause_of(snapshot, "all", ""),
        )

    return await unless_same(request, tag_of(snapshot.version, visitor.caller.role), show)


@routes.get("/console/keys")
async def show_keys(request: Request, snapshot: Looked, wish: Wish, visitor: Seen) -> Response:
    wish = replace(wish, phase=wish.phase or None, exchange=wish.exchange or None)  # "": any
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
        return _shown(
            request,
            "keys.html",
            visitor,
            snapshot,
            rows=[_row(key, down_of(snapshot.bridges)) for key in found.keys],
            found=found,
            wish=wish,
            link=link,
            everything=len(snapshot.keys),
            exchanges=sorted({key.exchange for key in snapshot.keys}),
            phases=PHASES,
            narrowed=bool(asked.keys() - {"sort", "order"}),
        )

    return await unless_same(request, tag_of(snapshot.version, str(request.url)), show)


@routes.get("/console/clients")
async def show_clients(
    request: Request,
    snapshot: Looked,
    visitor: Seen,
    q: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    words = q.casefold().split()
    known = [c for c in snapshot.clients if all(w in c.name.casefold() for w in words)]

    async def show() -> Response:
        return _shown(
            request,
            "clients.html",
            visitor,
            snapshot,
            clients=[_standing(snapshot, client) for client in known[after : after + _SHOWN]],
            total=len(known),
            after=after,
            more=after + _SHOWN if after + _SHOWN < len(known) else None,
            q=q,
            urlencode=urlencode,
        )

    return await unless_same(request, tag_of(snapshot.version, str(request.url)), show)


@routes.get("/console/clients/{client_id}")
async def show_client(  # noqa: PLR0913 - what it needs and what the form held
    request: Request,
    client_id: Id,
    keeper: Keeping,
    snapshot: Looked,
    forms: Forms,
    visitor: Seen,
    *,
    exchange: Annotated[str, Query(max_length=100)] = "",
    label: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    whose = ClientId(client_id)
    tag = tag_of(_of_client(snapshot, whose), exchange, visitor.caller.role)

    async def show() -> Response:
        stored = await _stored(request, keeper, snapshot, whose)
        return _shown(
            request,
            "client.html",
            visitor,
            snapshot,
            client=stored.client,
            keys=keeper.shown(stored, down_of(snapshot.bridges)),
            paused=_pause_of(snapshot, "client", str(client_id)),
            held=[p for p in snapshot.pauses if p.scope == "all" or p.id == str(client_id)],
            exchanges=await forms.exchanges(stored.client),
            exchange=exchange,
            label=label,
        )

    return await unless_same(request, tag, show)


@routes.get("/console/clients/{client_id}/balances")
async def show_balances(
    request: Request,
    client_id: Id,
    keeper: Keeping,
    snapshot: Looked,
    teller: Telling,
    visitor: Seen,
) -> Response:
    stored = await _stored(request, keeper, snapshot, ClientId(client_id))
    keys = keeper.shown(stored, down_of(snapshot.bridges))

    async def pauses() -> Sequence[Pause]:
        return snapshot.pauses

    statement = await teller.told(stored.client, keys, pauses)
    return page(request, "balances.html", visitor=visitor, statement=statement, mine=False)


async def _stored(request: Request, keeper: Keeper, snapshot: Snapshot, whose: ClientId) -> Stored:
    """Return a client and its keys: one asks for all who look, as long as nothing of it changes."""
    client = [each for each in snapshot.clients if each.id == whose]
    tag = tag_of(client, snapshot.by_client.get(whose, ()))
    return await shared(request, tag, partial(keeper.stored, whose))


@routes.get("/console/mine")
async def show_mine(request: Request, teller: Telling, visitor: Own) -> Response:
    whose = visitor.caller.client_id
    if whose is None:
        raise Problem("not_found", "This token is of no client.")
    statement = (await teller.balances(whose)).for_client()
    return page(request, "mine.html", visitor=visitor, statement=statement, mine=True)


@routes.get("/console/keys/{key_id}")
async def show_key(
    request: Request, key_id: Id, keeper: Keeping, snapshot: Looked, forms: Forms, visitor: Seen
) -> Response:
    known = [key for key in snapshot.keys if key.key_id == key_id]
    client_id = known[0].client_id if known else (await keeper.key(KeyId(key_id))).client_id
    whose = ClientId(client_id)
    tag = tag_of(key_id, _of_client(snapshot, whose), visitor.caller.role)

    async def happened() -> list[dict[str, Any]]:
        return await _events(History(keeper.engine), Excerpt(keys=[KeyId(key_id)]))

    async def show() -> Response:
        stored = await _stored(request, keeper, snapshot, whose)
        keys = keeper.shown(stored, down_of(snapshot.bridges))
        key = _one_of(keys, key_id)
        events = await shared(request, tag_of("events", known), happened)
        offer = offer_of(await forms.of_bridge(BridgeName(key.bridge)), key.exchange)
        return _shown(
            request,
            "key.html",
            visitor,
            snapshot,
            key=key,
            rival=None if key.is_active else in_place(keys, key.exchange, testnet=key.is_testnet),
            events=events,
            fields=offer.fields if offer else (),
            paused=_pause_of(snapshot, "key", str(key_id)),
            held=[
                p
                for p in snapshot.pauses
                if p.reaches(bridge=key.bridge, client_id=key.client_id, key_id=key.id)
            ],
        )

    return await unless_same(request, tag, show)


def _one_of(keys: Iterable[KeyState], key_id: UUID) -> KeyState:
    """Raises Problem not_found."""
    for key in keys:
        if key.id == key_id:
            return key
    raise Problem("not_found", "There is no key with this id.")


@routes.get("/console/history")
async def show_history(
    request: Request, keeper: Keeping, snapshot: Looked, visitor: Seen
) -> Response:
    tag = tag_of(snapshot.version, "history")

    async def found() -> list[dict[str, Any]]:
        return await _events(History(keeper.engine), Excerpt())

    async def show() -> Response:
        events = await shared(request, tag, found)
        return _shown(
            request,
            "history.html",
            visitor,
            snapshot,
            events=events,
        )

    return await unless_same(request, tag, show)


async def _events(history: History, excerpt: Excerpt) -> list[dict[str, Any]]:
    """Return the newest events, the newest first, in words."""
    return [_event(event) for event in reversed(await history.events(excerpt, _SHOWN))]


def _event(event: Any) -> dict[str, Any]:
    common = {"at": event.at, "key_id": event.key_id, "where": f"{event.account}/{event.connector}"}
    if hasattr(event, "verdict"):
        said = f"{event.verdict}: {event.message}" if event.message else event.verdict
        took = f"{event.action}, {event.seconds:.2f} s"
        return common | {"what": took, "words": said, "well": event.verdict == "done"}
    before = f"{event.from_phase} → " if event.from_phase else ""
    words = sentence(event.to_reason, event.message)
    well = event.to_phase == "live"
    return common | {"what": f"{before}{event.to_phase}", "words": words, "well": well}


def _shown(
    request: Request, name: str, visitor: Visitor, snapshot: Snapshot, **told: Any
) -> Response:
    """Return a page about what a look has seen."""
    return page(
        request,
        name,
        visitor=visitor,
        version=snapshot.version,
        snapshot=snapshot,
        bridge_words=bridge_words,
        **told,
    )


def _standing(snapshot: Snapshot, client: Client) -> dict[str, Any]:
    """Return a client with how many of its keys are live and how many want somebody."""
    keys, away = snapshot.by_client.get(client.id, ()), down_of(snapshot.bridges)
    phases = Counter(key.phase for key in keys)
    live = sum(key.phase == Phase.LIVE and key.bridge not in away for key in keys)
    active = phases.total() - phases["inactive"]
    wrong = sum(count for phase, count in phases.items() if troubling(phase))
    paused = _pause_of(snapshot, "client", str(client.id)) is not None
    counts = {"live": live, "active": active, "wrong": wrong}
    return {"client": client, "paused": paused, **counts}


def _of_client(snapshot: Snapshot, whose: ClientId) -> tuple[object, ...]:
    """Return all that a page about a client is made of, and nothing of anybody else."""
    client = [each for each in snapshot.clients if each.id == whose]
    keys = snapshot.by_client.get(whose, ())
    bridges = {key.bridge for key in keys}
    down = [bridge for bridge in snapshot.down if bridge.bridge in bridges]
    return client, keys, down, [p for p in snapshot.pauses if _concerns(p, whose, keys)]


def _concerns(pause: Pause, whose: ClientId, keys: Iterable[KeyStatus]) -> bool:
    reached = (pause.reaches(bridge=key.bridge, client_id=whose, key_id=key.key_id) for key in keys)
    return pause.reaches(bridge="", client_id=whose, key_id="") or any(reached)


def _row(key: KeyStatus, down: Down) -> dict[str, Any]:
    reason, message = why(key, down)
    return {
        "key": key,
        "up": key.bridge not in down,
        "why": sentence(reason, message),
        "todo": cure(reason, BUTTONS),
        "warnings": warnings_of(key.rights, datetime.now(UTC)),
    }


def _pause_of(snapshot: Snapshot, scope: str, whose: str) -> Any:
    found = [p for p in snapshot.pauses if (p.scope, p.id) == (scope, whose)]
    return found[0] if found else None
