import gzip
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bridge.connectors import Connector, Registry
from bridge.credentials import Offered
from bridge.errors import Trouble
from bridge.paper.app import Paper
from bridge.service import Service

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
REFUSED = Trouble("refused", "no")


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_an_add_creates_the_account_and_calls_no_exchange_with_credentials(
    bridge: httpx.AsyncClient, add: Call, papers: Paper
) -> None:
    answer = await add("binance")
    assert answer.status_code == 200
    assert answer.json() | {"message": ""} == {
        "success": True,
        "connector": "binance",
        "message": "",
        "markets_loaded": 0,
    }
    assert (await bridge.get("/accounts/acme")).json()["connectors"] == ["binance"]
    assert papers.heard["binance"]["account"] == 0


async def test_an_add_tells_how_many_markets_the_shared_template_has(
    add: Call, service: Service
) -> None:
    await add("kraken")
    await service.shelf.get("kraken").markets()
    assert (await add("kraken", account_name="other")).json()["markets_loaded"] == 5


@pytest.mark.parametrize(
    ("sent", "canonical"),
    [
        ("Binance", "binance"),
        ("Binance-US", "binanceus"),
        ("gate.io", "gate"),
        (" gateio ", "gate"),
        ("huobi", "htx"),
        ("OKX", "okx"),
    ],
)
async def test_names_come_back_canonical(
    bridge: httpx.AsyncClient, add: Call, sent: str, canonical: str
) -> None:
    assert (await add(sent, api_key="k")).json()["connector"] == canonical
    assert (await bridge.get("/accounts/acme")).json()["connectors"] == [canonical]


async def test_adding_again_replaces(
    bridge: httpx.AsyncClient, add: Call, ready: Call, verify: Call
) -> None:
    await ready("binance", api_key="wrong", fingerprint="f1")
    assert (await verify("binance")).status_code == 422
    await add("binance", fingerprint="f2")
    assert (await verify("binance")).status_code == 200
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert listed["fingerprint"] == "f2"


async def test_the_same_fingerprint_in_the_same_slot_changes_nothing(
    add: Call, service: Service
) -> None:
    await add("binance", fingerprint="f1")
    version, held = service.registry.version, service.registry.connector("acme", "binance")
    assert (await add("binance", fingerprint="f1")).status_code == 200
    assert service.registry.version == version
    assert service.registry.connector("acme", "binance") is held


async def test_without_a_fingerprint_an_add_always_replaces(add: Call, service: Service) -> None:
    await add("binance")
    held = service.registry.connector("acme", "binance")
    await add("binance")
    assert service.registry.connector("acme", "binance") is not held


async def test_an_add_that_is_to_be_verified_leaves_the_old_one_when_it_fails(
    bridge: httpx.AsyncClient, add: Call, ready: Call
) -> None:
    await ready("binance", query="?verify=true", fingerprint="good")
    failed = await add("binance", query="?verify=true", fingerprint="bad", api_key="wrong")
    assert (failed.status_code, failed.json()["code"]) == (422, "refused")
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert (listed["fingerprint"], listed["state"]) == ("good", "verified")
    assert listed["verified_at"].endswith("Z")


async def test_an_add_that_is_to_be_verified_and_fails_does_not_create_the_account(
    bridge: httpx.AsyncClient, add: Call
) -> None:
    assert (await add("binance", query="?verify=true")).status_code == 422
    assert (await bridge.get("/accounts/acme")).status_code == 404


@pytest.mark.parametrize(
    ("exchange", "words"),
    [
        ("ftx", "Unsupported exchange: ftx. ccxt knew it once"),
        ("bit_mart", "does not know it any more"),
        ("bitmart", "BitMart left ccxt in version 4.5.71"),
        ("kuckoin", "Did you mean kucoin or kucoinfutures? Supported: "),
        ("kraken_testnet", "kraken_testnet"),
        ("Exchange", "Unsupported exchange: exchange"),
        ("__init__", "Unsupported exchange: __init__"),
    ],
)
async def test_an_exchange_that_cannot_be_had_is_unsupported_in_words_of_its_own(
    bridge: httpx.AsyncClient, add: Call, exchange: str, words: str
) -> None:
    answer = await add(exchange)
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported")
    assert words in answer.json()["detail"]
    assert (await bridge.get("/accounts")).json()["accounts"] == []


@pytest.mark.parametrize(
    ("exchange", "missing"),
    [("okx", "password"), ("binance", "api_key"), ("binance", "api_secret")],
)
async def test_a_missing_credential_is_malformed_and_named(
    add: Call, exchange: str, missing: str
) -> None:
    answer = await add(exchange, **{missing: None})
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
    assert missing in answer.json()["detail"]


async def test_a_testnet_connector_lives_beside_the_real_one(
    bridge: httpx.AsyncClient, add: Call, enrol: Call
) -> None:
    await enrol("binance")
    for testnet, name in ((False, "binance"), (True, "binance_testnet")):
        added = await add("binance", api_key="key-of-binance", is_testnet=testnet)
        assert added.json()["connector"] == name
        assert (await add(name, api_key="key-of-binance")).json()["connector"] == name
        slot = {"account_name": "acme", "connector_name": "binance", "is_testnet": testnet}
        assert (await bridge.post("/connectors/verify", json=slot)).status_code == 200
    await bridge.delete("/connectors/acme/binance_testnet")
    assert (await bridge.post("/connectors/verify", json=slot)).status_code == 404
    await add("binance_testnet", api_key="key-of-binance")
    balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
    assert {name: shown["BTC"]["total"] for name, shown in balances.items()} == {
        "binance": 0.6,
        "binance_testnet": 0.6,
    }


async def test_a_removal_says_whether_there_was_anything(
    bridge: httpx.AsyncClient, add: Call
) -> None:
    await add("gate")
    removed = [(await bridge.delete("/connectors/acme/gateio")).json() for _ in range(2)]
    assert removed == [{"success": True, "removed": True}, {"success": True, "removed": False}]
    assert (await bridge.delete("/connectors/nobody/gate")).json()["removed"] is False


@pytest.mark.parametrize("held", ["f1", None])
async def test_a_removal_by_another_fingerprint_is_a_conflict_and_does_nothing(
    bridge: httpx.AsyncClient, add: Call, held: str | None
) -> None:
    await add("binance", fingerprint=held)
    answer = await bridge.delete("/connectors/acme/binance?fingerprint=f2")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert len((await bridge.get("/connectors")).json()["connectors"]) == 1


async def test_a_removal_by_the_right_fingerprint_removes(
    bridge: httpx.AsyncClient, add: Call
) -> None:
    await add("binance", fingerprint="f1")
    answer = await bridge.delete("/connectors/acme/binance?fingerprint=f1")
    assert answer.json() == {"success": True, "removed": True}


async def test_the_listing_is_sorted_and_holds_what_the_contract_says(
    bridge: httpx.AsyncClient, add: Call
) -> None:
    for account, exchange in (("b", "okx"), ("a", "okx"), ("a", "binance")):
        await add(exchange, account_name=account, fingerprint=f"{account}{exchange}")
    listed = (await bridge.get("/connectors")).json()
    slots = [(c["account"], c["connector"]) for c in listed["connectors"]]
    assert slots == [("a", "binance"), ("a", "okx"), ("b", "okx")]
    assert listed["connectors"][0] | {"added_at": ""} == {
        "account": "a",
        "connector": "binance",
        "fingerprint": "abinance",
        "added_at": "",
        "verified_at": None,
        "state": "added",
        "last_error": None,
    }
    assert listed["boot_id"]


@pytest.mark.parametrize("path", ["/connectors", "/accounts"])
async def test_an_unchanged_listing_is_304_and_any_change_is_not(
    bridge: httpx.AsyncClient, add: Call, path: str
) -> None:
    tag = (await bridge.get(path)).headers["etag"]
    assert tag.startswith('"')
    unchanged = await bridge.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    await add("binance")
    changed = await bridge.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_a_listing_is_compressed_only_when_asked(
    bridge: httpx.AsyncClient, add: Call
) -> None:
    for number in range(20):
        await add("binance", account_name=f"account-{number}")
    plain = await bridge.get("/connectors", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    async with bridge.stream("GET", "/connectors", headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join([chunk async for chunk in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["etag"] != plain.headers["etag"]
    assert gzip.decompress(raw) == plain.content


async def test_a_listing_can_be_read_page_by_page(bridge: httpx.AsyncClient, add: Call) -> None:
    for account in ("d", "c", "b", "a b", "a"):
        await add("binance", account_name=account)
    seen, cursor = [], None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await bridge.get("/connectors", params=params)).json()
        seen.append([c["account"] for c in page["connectors"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [["a", "a b"], ["b", "c"], ["d"]]


async def test_accounts_can_be_read_page_by_page(bridge: httpx.AsyncClient) -> None:
    for account in ("c", "a", "b"):
        await bridge.post("/accounts/create", json={"account_name": account})
    first = (await bridge.get("/accounts?limit=2")).json()
    assert ([a["name"] for a in first["accounts"]], first["next_cursor"]) == (["a", "b"], "b")
    last = (await bridge.get("/accounts?limit=2&cursor=b")).json()
    assert ([a["name"] for a in last["accounts"]], last["next_cursor"]) == (["c"], None)


@pytest.mark.parametrize("cursor", ["", "/", "a", "a/", "zzz", "%00", "%FF", "a/b/c", "🦊", "'--"])
@pytest.mark.parametrize("path", ["/connectors", "/accounts"])
async def test_a_cursor_is_a_place_in_the_order_whatever_it_says(
    bridge: httpx.AsyncClient, add: Call, path: str, cursor: str
) -> None:
    await add("binance", account_name="a")
    answer = await bridge.get(f"{path}?cursor={cursor}&limit=5")
    assert answer.status_code == 200
    assert answer.json()["next_cursor"] is None


async def test_a_cursor_outlives_what_it_names(bridge: httpx.AsyncClient, add: Call) -> None:
    for account in ("a", "b", "c"):
        await add("binance", account_name=account)
    cursor = (await bridge.get("/connectors?limit=2")).json()["next_cursor"]
    await bridge.delete("/connectors/b/binance")
    page = (await bridge.get("/connectors", params={"limit": 2, "cursor": cursor})).json()
    assert [c["account"] for c in page["connectors"]] == ["c"]


async def test_who_refuses_gzip_gets_none(bridge: httpx.AsyncClient, add: Call) -> None:
    for number in range(20):
        await add("binance", account_name=f"account-{number}")
    answer = await bridge.get("/connectors", headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in answer.headers


async def test_supported_exchanges_come_with_the_fields_they_need(
    bridge: httpx.AsyncClient,
) -> None:
    answer = (await bridge.get("/connectors/supported")).json()
    assert {"binance", "okx", "kraken", "gate", "htx"} <= set(answer["supported_exchanges"])
    assert "bitmart" not in answer["supported_exchanges"]
    about = answer["exchanges"]
    assert about["okx"]["fields"] == ["api_key", "api_secret", "password"]
    assert about["hyperliquid"]["fields"] == ["api_key", "api_secret"]
    assert about["binance"]["testnet"] == "binance_testnet"
    assert about["luno"]["testnet"] is None


def test_an_account_goes_with_its_last_connector() -> None:
    registry = Registry()
    registry.create("a")
    for name in ("binance", "okx"):
        registry.put("a", name, Offered(), None, None)
    registry.remove("a", "binance")
    assert [account.name for account in registry.accounts()] == ["a"]
    registry.remove("a", "okx")
    assert registry.accounts() == []


def test_an_account_that_comes_with_a_connector_takes_no_others_place() -> None:
    registry = Registry(empty=1)
    registry.create("waits")
    registry.put("comes", "binance", Offered(), None, None)
    assert [account.name for account in registry.accounts()] == ["comes", "waits"]


def test_of_the_accounts_that_never_had_a_connector_only_the_newest_are_kept() -> None:
    registry = Registry(empty=2)
    registry.create("used")
    registry.put("used", "binance", Offered(), None, None)
    for name in ("oldest", "old", "new"):
        registry.create(name)
    assert [account.name for account in registry.accounts()] == ["new", "old", "used"]
    registry.put("oldest", "binance", Offered(), None, None)  # forgotten, and no worse for it
    registry.create("newest")
    assert [account.name for account in registry.accounts()] == ["new", "newest", "oldest", "used"]


def test_a_registry_counts_connectors_by_exchange() -> None:
    registry = Registry()
    for account in ("a", "b", "b"):
        registry.put(account, "binance", Offered(), None, None)
    registry.remove("a", "binance")
    assert registry.counts == {"binance": 1}


def test_a_registry_moves_its_version_with_every_change_and_only_then() -> None:
    registry = Registry()
    seen = [registry.version]
    registry.create("a")
    seen.append(registry.version)
    held = registry.put("a", "binance", Offered(), None, "f")
    seen.append(registry.version)
    registry.failed(held, REFUSED)
    seen.append(registry.version)
    registry.failed(held, REFUSED)
    assert registry.version == seen[-1]
    registry.answered(held, NOW)
    seen.append(registry.version)
    with pytest.raises(Trouble):
        registry.remove("a", "binance", "other")
    assert registry.version == seen[-1]
    registry.remove("a", "binance")
    seen.append(registry.version)
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    "repeat",
    [
        lambda registry, held: registry.answered(held, registry.now()),
        lambda registry, held: registry.failed(held, REFUSED),
    ],
)
def test_mere_repeats_move_the_version_once_a_minute_and_not_for_ever(
    clock: Clock, repeat: Callable[[Registry, Connector], None]
) -> None:
    registry = Registry(clock)
    held = registry.put("a", "binance", Offered(), None, "f")
    repeat(registry, held)
    before = registry.version
    clock.now += timedelta(seconds=59)
    repeat(registry, held)
    assert registry.version == before
    clock.now += timedelta(seconds=1)
    assert registry.version == before + 1
    clock.now += timedelta(hours=1)
    assert registry.version == before + 1


def test_what_really_changes_is_not_held_back_by_repeats(clock: Clock) -> None:
    registry = Registry(clock)
    held = registry.put("a", "binance", Offered(), None, "f")
    registry.answered(held, NOW)
    registry.answered(held, NOW)
    before = registry.version
    registry.failed(held, REFUSED)
    assert registry.version == before + 1


def test_a_failure_stays_known_after_the_next_success(clock: Clock) -> None:
    registry = Registry(clock)
    held = registry.put("a", "binance", Offered(), None, "f")
    registry.failed(held, REFUSED)
    clock.now += timedelta(hours=1)
    registry.answered(held, clock.now)
    assert held.state == "verified"
    assert held.last_error == ("refused", NOW, "no")
