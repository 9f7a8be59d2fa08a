"""All keys, filtered, sorted and page by page, from one snapshot; and news of what changed."""

from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.store.audit import NOBODY
from daemon.store.people import People, SealedEntry
from daemon.store.status import KeyStatus
from daemon.store.tokens import Tokens
from daemon.web.events import EventStream, changes
from daemon.web.listing import BadCursor, Order, Wanted, page_of
from daemon.web.roster import Snapshot
from reconciler.model import BridgeName, ClientId, KeyId, Rights
from reconciler.verdicts import StoreError
from tests.daemon.cli.conftest import served
from tests.daemon.web.conftest import KEY, Office

pytestmark = pytest.mark.anyio
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def key(number: int, **more: Any) -> KeyStatus:
    plain = KeyStatus(
        key_id=KeyId(UUID(int=number)),
        client_id=ClientId(UUID(int=1_000 + number)),
        client=f"Client {number}",
        bridge=BridgeName("main"),
        exchange="binance",
        label=None,
        is_testnet=False,
        is_active=True,
        account=f"client_{number}",
        connector="binance",
        phase="live",
        reason="applied",
        message="",
        failures=0,
        due_at=None,
        last_attempt_at=None,
        live_since=None,
        verified="ok",
        verified_at=None,
        holder_id=None,
    )
    return plain._replace(**more)


def listed(keys: list[KeyStatus], **more: Any) -> list[int]:
    return [k.key_id.int for k in page_of(Snapshot("1", NOON, keys), Wanted(**more)).keys]


def test_keys_that_may_withdraw_or_expire_are_found() -> None:
    soon = Rights(expires_at=NOON)
    keys = [key(1), key(2, rights=Rights(withdraw=True)), key(3, rights=soon)]
    assert listed(keys, warning="may_withdraw") == [2]
    assert listed(keys, warning="expires_soon") == [3]


MIXED = [
    key(1, client="Acme", label="Desk Ä", due_at=NOON),
    key(2, client="birch", exchange="okx", phase="parked", reason="refused"),
    key(3, client="Cobalt", exchange="okx", due_at=NOON - timedelta(hours=1), bridge="eu"),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 2, 3]),
        ({"q": "desk ä"}, [1]),
        ({"q": "OKX co"}, [3]),
        ({"q": "client_2"}, [2]),
        ({"q": "nobody"}, []),
        ({"phase": "parked"}, [2]),
        ({"reason": "refused"}, [2]),
        ({"exchange": "okx"}, [2, 3]),
        ({"bridge": "eu"}, [3]),
        ({"client_id": UUID(int=1_001)}, [1]),
        ({"order": "desc"}, [3, 2, 1]),
        ({"sort": "exchange"}, [1, 2, 3]),
        ({"sort": "due_at"}, [3, 1, 2]),
        ({"sort": "due_at", "order": "desc"}, [1, 3, 2]),
    ],
)
async def test_keys_are_found_and_sorted_and_what_has_no_value_comes_last(
    wanted: dict[str, Any], found: list[int]
) -> None:
    assert listed(MIXED, **wanted) == found


@given(
    st.lists(st.sampled_from([None, NOON, NOON + timedelta(1)]), max_size=12),
    st.sampled_from(["asc", "desc"]),
)
def test_pages_hold_every_key_once_whatever_goes_away_in_between(
    dues: list[datetime | None], order: Order
) -> None:
    keys = [key(n, due_at=due) for n, due in enumerate(dues)]
    wanted = Wanted(sort="due_at", order=order, limit=3)
    seen: list[int] = []
    while True:
        page = page_of(Snapshot("1", NOON, keys), wanted)
        seen += [k.key_id.int for k in page.keys]
        if page.next is None:
            break
        keys.remove(page.keys[-1])
        wanted = replace(wanted, cursor=page.next)
    assert len(seen) == len(set(seen)) == len(dues)


@pytest.mark.parametrize("cursor", ["x", "\0", "🚀", "W10", "e30", "WzEsMiwzLDQsNV0"])
async def test_a_cursor_that_was_never_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        page_of(Snapshot("1", NOON, MIXED), Wanted(cursor=cursor))


async def test_counts_are_of_every_phase_and_the_total_of_what_is_listed() -> None:
    page = page_of(Snapshot("1", NOON, MIXED), Wanted(phase="live", limit=1))
    assert (page.total, page.counts, len(page.keys)) == (2, {"live": 2, "parked": 1}, 1)


async def test_the_listing_says_where_keys_stand(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await admin.post(f"/api/admin/clients/{acme}/api-keys?wait=0", json=KEY)
    said = (await admin.get("/api/admin/connectors?q=acme&limit=500")).json()
    (row,) = said["connectors"]
    assert (row["client"], row["phase"], row["reason"]) == ("Acme Capital", "pending", "new")
    assert (said["total"], said["counts"], said["next"]) == (1, {"pending": 1}, None)
    assert office.roster.looks == 1
    wrong = await admin.get("/api/admin/connectors?cursor=zzzz")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")


async def welcome() -> None:
    pass


async def next_change(events: AsyncIterator[str]) -> str:
    async for event in events:
        if "event: change" in event:
            return event
    raise AssertionError("the stream has ended")


async def test_a_hundred_who_follow_cost_one_look_for_an_event(
    office: Office, acme: ClientId
) -> None:
    streams = [changes(office.roster, welcome, 30.0) for _ in range(100)]

    async def all_hear() -> None:
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(next_change, stream)

    await all_hear()
    looks = office.roster.looks
    await People(office.engine).add_key(acme, SealedEntry("binance", "x", "y"))
    office.roster.touch()
    await all_hear()
    assert (looks, office.roster.looks) == (1, 2)


async def test_a_stream_ends_when_its_token_is_revoked(office: Office) -> None:
    token = await office.token()

    async def still() -> object:
        return await office.gate.caller(token, "")

    events = changes(office.roster, still, 0.01)
    assert '"keys": 0' in await anext(events)
    assert await anext(events) == ": still here\n\n"
    await Tokens(office.engine).revoke("admin for tests", NOBODY)
    with anyio.fail_after(30):
        assert not [event async for event in events if "change" in event]


async def test_who_follows_hears_that_the_database_is_back_even_if_nothing_has_changed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = changes(office.roster, welcome, 0.01)
    before = await next_change(events)

    async def away() -> NoReturn:
        raise StoreError("the connection was lost")

    with monkeypatch.context() as lost:
        lost.setattr(office.roster, "after", lambda *_: away())
        assert "event: away" in await anext(events)
    assert await anext(events) == before


async def test_who_follows_hears_nothing_more_once_the_token_is_revoked(
    office: Office, acme: ClientId
) -> None:
    token = await office.token()
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    async with (
        served(office.app) as url,
        httpx.AsyncClient(headers=headers) as follower,
        follower.stream("GET", f"{url}/api/admin/events") as stream,
    ):
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("id: ")
        await Tokens(office.engine).revoke("admin for tests", NOBODY)
        office.gate.forget()  # as it does when it hears of it
        await People(office.engine).add_key(acme, SealedEntry("binance", "x", "y"))
        office.roster.touch()
        with anyio.fail_after(30):
            assert [line async for line in lines if line.startswith("id: ")] == []


async def test_who_does_not_take_what_is_sent_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("daemon.web.events._SLOW", 0.01)
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "event: change\n\n"

    async def receive() -> MutableMapping[str, Any]:
        await anyio.sleep_forever()
        return {}

    await EventStream(endless())({}, receive, send)
    assert len(sent) == 2


async def test_events_are_streamed_to_who_may_see_all(office: Office) -> None:
    office.roster.close()
    async with office.web(await office.token("viewer")) as web:
        answer = await web.get("/api/admin/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("id: ")
