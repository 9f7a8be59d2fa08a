"""What is asked of a bridge, in which dialect, and how often."""

import json
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from daemon.bridges.trading import TradingBridge
from reconciler.model import Proof, Rights, Slot, Verified
from reconciler.verdicts import Throttled, Unavailable, Unclear, Verdict
from tests.daemon.bridges.conftest import BRIDGE, SLOT, credentials, of_handler
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import Reply, told

pytestmark = pytest.mark.anyio
ROW = {"account": "client_acme", "connector": "binance", "fingerprint": "f1", "state": "added"}


def listing(*rows: object, boot_id: str = "b1") -> httpx.Response:
    return httpx.Response(200, json={"boot_id": boot_id, "connectors": rows})


class Ours:
    """An answering machine that lists as ours does and notes what else it is asked."""

    def __init__(self, *rows: object) -> None:
        self.rows = rows
        self.asked: list[httpx.Request] = []
        self.away = False
        self.etag: str | None = None
        self.tells: dict[str, object] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.away:
            raise httpx.ConnectError("refused")
        if request.url.path != "/connectors":
            return httpx.Response(200, json={"success": True, **self.tells})
        if self.etag and request.headers.get("if-none-match") == self.etag:
            return httpx.Response(304)
        answer = listing(*self.rows)
        answer.headers.update({"etag": self.etag} if self.etag else {})
        return answer

    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]

    def sent(self) -> dict[str, str]:
        body: dict[str, str] = json.loads(self.asked[-1].content)
        return body


# -- listings --------------------------------------------------------------------------------


async def test_ours_is_recognized_by_its_listing() -> None:
    ours = Ours(ROW)
    found = await of_handler(ours).observe()
    assert [(c.slot, c.fingerprint) for c in found.connectors] == [(SLOT, "f1")]
    assert found.boot_id == "b1"
    assert ours.paths() == ["/connectors"]


async def test_a_connector_of_ours_without_a_label_differs_from_one_that_cannot_have_one() -> None:
    found = await of_handler(Ours({**ROW, "fingerprint": None})).observe()
    assert found.connectors[0].fingerprint == ""


async def test_names_are_canonical_and_listed_once(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    names = ["Gate", "gateio", "gate_io", "huobi", "HTX", "okex", "gateio_testnet"]
    story.accounts["client_acme"] = {name: {} for name in names}
    found = (await bridge.observe()).connectors
    assert [c.slot.connector for c in found] == ["gate", "htx", "okx", "gate_testnet"]


async def test_a_listing_of_thousands_is_read_whole() -> None:
    rows = [{**ROW, "account": f"client_{n}"} for n in range(4500)]
    found = await of_handler(Ours(*rows)).observe()
    assert len({c.slot for c in found.connectors}) == 4500


async def test_an_unchanged_listing_is_the_same_object() -> None:
    ours = Ours(ROW)
    ours.etag = '"v1"'
    bridge = of_handler(ours)
    assert await bridge.observe() is await bridge.observe()
    ours.etag = '"v2"'
    ours.rows = ()
    assert (await bridge.observe()).connectors == ()


async def test_what_did_not_change_between_listings_is_not_made_anew() -> None:
    ours = Ours(ROW, {**ROW, "account": "client_other"})
    bridge = of_handler(ours)
    before = (await bridge.observe()).connectors
    ours.rows = (ROW, {**ROW, "account": "client_other", "fingerprint": "f2"})
    after = (await bridge.observe()).connectors
    assert after[0] is before[0]
    assert after[1].fingerprint == "f2"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"boot_id":"b1","connectors":[{"account":"client_a', b"\xff"],
)
async def test_a_listing_cut_off_is_neither_empty_nor_another_dialect(body: bytes) -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, content=body)

    with pytest.raises(Unclear):
        await of_handler(handle).observe()
    assert asked == ["/connectors"]


@pytest.mark.parametrize("body", [b"null", b"[]", b"{}", b'{"accounts":null}', b'{"accounts":[1]}'])
async def test_a_listing_of_another_form_changes_nothing(
    bridge: TradingBridge, story: StoryBridge, body: bytes
) -> None:
    story.instead["GET", "/accounts"] = Reply(200, body)
    with pytest.raises(Unclear):
        await bridge.observe()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (told(500, detail="Invalid API-key"), Unclear),
        (told(400, detail="Unsupported exchange"), Unclear),
        (told(503, detail="away", code="unavailable"), Unavailable),
        (told(429), Throttled),
        (told(404), Unavailable),
        (told(401), Unavailable),
    ],
)
async def test_a_listing_that_fails_speaks_of_no_key(
    bridge: TradingBridge, story: StoryBridge, said: Reply, expected: type[Verdict]
) -> None:
    story.instead["GET", "/accounts"] = said
    with pytest.raises(Verdict) as raised:
        await bridge.observe()
    assert type(raised.value) is expected


# -- dialects --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [told(404), told(405), told(422), Reply(200, b'["binance","okx"]'), told(connectors=[])],
)
async def test_a_bridge_without_our_listing_is_the_storys(
    bridge: TradingBridge, story: StoryBridge, said: Reply
) -> None:
    story.instead["GET", "/connectors"] = said
    story.accounts["client_acme"] = {"binance": {}}
    found = await bridge.observe()
    assert [(c.slot, c.fingerprint) for c in found.connectors] == [(SLOT, None)]


async def test_the_dialect_is_found_out_once(bridge: TradingBridge, story: StoryBridge) -> None:
    await bridge.observe()
    await bridge.observe()
    assert len(story.requests("GET", "/connectors")) == 1


async def test_the_dialect_is_found_out_anew_once_the_bridge_was_away(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    await bridge.observe()
    story.instead["GET", "/accounts"] = told(503)
    with pytest.raises(Unavailable):
        await bridge.observe()
    row = {"account": "client_acme", "connector": "binance", "fingerprint": "f1"}
    story.instead["GET", "/connectors"] = told(boot_id="b1", connectors=[row])
    assert (await bridge.observe()).boot_id == "b1"


async def test_a_bridge_of_ours_that_was_taken_for_another_is_known_in_the_next_pass(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    story.instead["GET", "/accounts"] = told(accounts=[], boot_id="b1")
    await bridge.observe()
    story.instead["GET", "/connectors"] = told(boot_id="b1", connectors=[])
    await bridge.observe()
    await bridge.initialize(SLOT, credentials(), "f1")
    assert story.requests("POST", "/connectors/add")[0].json()["fingerprint"] == "f1"


async def test_only_a_bridge_that_keeps_labels_is_sent_one(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    ours = Ours()
    await of_handler(ours).initialize(SLOT, credentials(), "f1")
    await bridge.initialize(SLOT, credentials(), "f1")
    assert ours.sent()["fingerprint"] == "f1"
    assert "fingerprint" not in story.requests("POST", "/connectors/add")[0].json()


# -- adding ----------------------------------------------------------------------------------


async def test_the_account_is_made_once_and_only_where_it_is_missing() -> None:
    ours = Ours(ROW)
    bridge = of_handler(ours)
    await bridge.observe()
    await bridge.initialize(SLOT, credentials(), "f1")
    other = Slot(BRIDGE, "client_other", "binance")
    await bridge.initialize(other, credentials(), "f2")
    await bridge.initialize(other, credentials(), "f3")
    add = "/connectors/add"
    assert ours.paths() == ["/connectors", add, "/accounts/create", add, add]


async def test_a_bridge_that_was_away_may_have_forgotten_its_accounts() -> None:
    ours = Ours(ROW)
    bridge = of_handler(ours)
    await bridge.observe()
    ours.away = True
    with pytest.raises(Unavailable):
        await bridge.initialize(SLOT, credentials(), "f1")
    ours.away = False
    await bridge.initialize(SLOT, credentials(), "f1")
    assert ours.paths()[-2:] == ["/accounts/create", "/connectors/add"]


async def test_an_account_that_the_bridge_denies_is_made_anew(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    story.instead["POST", "/connectors/add"] = told(404, detail="Account not found")
    with pytest.raises(Unclear):
        await bridge.initialize(SLOT, credentials(), "f1")
    story.instead.clear()
    await bridge.initialize(SLOT, credentials(), "f1")
    assert len(story.requests("POST", "/accounts/create")) == 2


@pytest.mark.parametrize("said", [told(success=True), told(201), told(409, detail="exists")])
async def test_every_way_to_say_that_an_account_exists_is_understood(
    bridge: TradingBridge, story: StoryBridge, said: Reply
) -> None:
    story.instead["POST", "/accounts/create"] = said
    await bridge.initialize(SLOT, credentials(), "f1")


async def test_no_credentials_are_sent_where_the_account_could_not_be_made(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    story.instead["POST", "/accounts/create"] = told(500, detail="disk full")
    with pytest.raises(Unclear):
        await bridge.initialize(SLOT, credentials(), "f1")
    assert not story.requests("POST", "/connectors/add")


@pytest.mark.parametrize(
    ("connector", "fields"),
    [("okx", {"password"}), ("bitmart", {"password", "memo"})],
)
async def test_a_passphrase_goes_where_the_exchange_looks_for_it(
    connector: str, fields: set[str]
) -> None:
    ours = Ours()
    slot = Slot(BRIDGE, "client_acme", connector)
    await of_handler(ours).initialize(slot, credentials(passphrase="open sesame"), "f1")
    assert {name for name, value in ours.sent().items() if value == "open sesame"} == fields


async def test_no_passphrase_no_field() -> None:
    ours = Ours()
    await of_handler(ours).initialize(SLOT, credentials(), "f1")
    assert set(ours.sent()) == {
        *("account_name", "connector_name", "api_key", "api_secret", "fingerprint"),
    }


async def test_any_text_arrives_as_it_was_stored() -> None:
    ours = Ours()
    odd = '-----BEGIN KEY-----\nline "two"\\\n\x00 🔑 <b>\'; DROP'
    await of_handler(ours).initialize(SLOT, credentials(odd), "f1")
    assert msgspec.json.decode(ours.asked[-1].content)["api_key"] == odd


# -- removing --------------------------------------------------------------------------------


async def test_names_are_quoted_on_their_way_into_a_path() -> None:
    ours = Ours()
    await of_handler(ours).remove(Slot(BRIDGE, "client a?b#c/d", "binance"), "f 1&x")
    assert ours.asked[-1].url.raw_path == (
        b"/connectors/client%20a%3Fb%23c%2Fd/binance?fingerprint=f+1%26x"
    )


@pytest.mark.parametrize("status", [200, 204])
async def test_a_removal_may_be_confirmed_without_a_body(status: int) -> None:
    body = b'{"success":true}' if status == 200 else b""

    def handle(request: httpx.Request) -> httpx.Response:
        return listing() if request.method == "GET" else httpx.Response(status, content=body)

    await of_handler(handle).remove(SLOT, "f1")


@pytest.mark.parametrize(
    ("verified_at", "verified"),
    [("2026-11-28T12:00:00Z", Verified.OK), (None, Verified.UNKNOWN)],
)
async def test_only_a_proof_with_a_time_proves_whatever_else_is_told_of_the_key(
    verified_at: str | None, verified: Verified
) -> None:
    ours = Ours(ROW)
    ours.tells = {"verified_at": verified_at, "rights": {"withdraw": True}, "warnings": [{}]}
    proof = await of_handler(ours).verify(SLOT)
    assert proof == Proof(verified, Rights(withdraw=True))


@pytest.mark.parametrize("rights", [None, "all", {"withdraw": "yes"}, {"expires_at": 7}])
async def test_rights_that_make_no_sense_are_not_told_and_spoil_no_proof(rights: Any) -> None:
    ours = Ours(ROW)
    ours.tells = {"verified_at": "2026-11-28T12:00:00Z", "rights": rights}
    assert await of_handler(ours).verify(SLOT) == Proof(Verified.OK)


async def test_a_time_without_a_zone_is_utc() -> None:
    ours = Ours(ROW)
    ours.tells = {"rights": {"expires_at": "2026-11-28T12:00:00"}}
    rights = (await of_handler(ours).verify(SLOT)).rights
    assert rights == Rights(expires_at=datetime(2026, 11, 28, 12, tzinfo=UTC))


async def test_every_request_carries_the_token() -> None:
    ours = Ours()
    await of_handler(ours).initialize(SLOT, credentials(), "f1")
    tokens = {request.headers["authorization"] for request in ours.asked}
    assert tokens == {"Bearer token-of-the-bridge"}


async def test_a_nul_in_a_listing_is_no_reason_to_stop_comparing() -> None:
    rows = [
        ROW | {"fingerprint": "a\0b"},
        ROW | {"account": "x\0y"},
        ROW | {"connector": "k\0"},
    ]
    found = (await of_handler(lambda _: listing(*rows)).observe()).connectors
    assert [(c.slot.account, c.fingerprint) for c in found] == [("client_acme", "a\ufffdb")]


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(200, text="<html>")])
async def test_whatever_else_answers_to_the_pulse_lives(answer: httpx.Response) -> None:
    assert await of_handler(lambda _: answer).pulse() is None


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_without_its_bridge_has_no_pulse(status: int) -> None:
    with pytest.raises(Unavailable):
        await of_handler(lambda _: httpx.Response(status, text="Bad Gateway")).pulse()


async def test_one_account_is_made_once_however_many_connectors_want_it() -> None:
    made: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/connectors":
            return listing()
        if request.url.path == "/accounts/create":
            made.append(request.content)
        return httpx.Response(200, json={"success": True})

    bridge = of_handler(handle)
    async with anyio.create_task_group() as tasks:
        for name in ("binance", "okx", "kraken"):
            tasks.start_soon(bridge.initialize, Slot(BRIDGE, "acme", name), credentials(), "f")
    assert len(made) == 1
