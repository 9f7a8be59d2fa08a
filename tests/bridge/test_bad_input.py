"""Whatever people paste: mended where that is safe, else named, with a cure, and not repeated."""

import base64
from typing import Any

import httpx
import pytest

from bridge.catalogue import catalogue
from bridge.mends import MENDED
from bridge.session import Outward
from bridge.shelf import Shelf
from tests.bridge.plausible import ed25519, offered

pytestmark = pytest.mark.anyio
MARK = "CANARY"
KEY = f"{MARK}-key-1"
SECRET = base64.b64encode(MARK.encode() * 8).decode()
PEM = ed25519(b"1")
BODY = "".join(PEM.splitlines()[1:-1])


async def send(bridge: httpx.AsyncClient, exchange: str, **fields: Any) -> httpx.Response:
    body = {"account_name": "acme", "connector_name": exchange, "api_key": KEY}
    body |= {"api_secret": SECRET, "password": "pass phrase"}
    return await bridge.post("/connectors/add", json=body | fields)


@pytest.mark.parametrize(
    ("exchange", "fields", "status", "code", "words"),
    [
        ("binance", {"api_key": ""}, 422, "malformed", "and it is missing"),
        ("binance", {"api_key": f"{MARK} x"}, 422, "malformed", "blank inside"),
        ("binance", {"api_secret": f"{MARK}\nx"}, 422, "malformed", "line break"),
        ("binance", {"api_key": f"{MARK}\u200bx"}, 422, "malformed", "invisible character"),
        ("binance", {"api_key": f"{MARK}\u0421"}, 422, "malformed", "only look Latin"),
        ("binance", {"api_key": MARK * 20_000}, 422, "malformed", ""),
        ("binance", {"api_key": 7}, 422, "malformed", ""),
        ("kraken", {"api_secret": f"{MARK}!!"}, 422, "malformed", "not base64"),
        ("okx", {"password": None}, 422, "malformed", "password"),
        ("revolutx", {"api_secret": MARK * 9}, 422, "malformed", "not a PEM key"),
        ("revolutx", {"api_secret": PEM[:60]}, 422, "malformed", "END line is missing"),
        (
            *("revolutx", {"api_secret": PEM.replace(BODY[9:20], "")}),
            *(422, "malformed", "lost or altered"),
        ),
        (
            *("revolutx", {"api_secret": PEM.replace("PRIVATE", "PUBLIC")}),
            *(422, "malformed", "without a private key"),
        ),
        (
            *("hyperliquid", {"api_key": "0x" + "1" * 64, "api_secret": "0x" + "1" * 64}),
            *(422, "malformed", "not a wallet address"),
        ),
        ("kraken_testnet", {}, 400, "unsupported", "testnet"),
        ("kraken", {"is_testnet": True}, 400, "unsupported", "testnet"),
        ("Kraken_Testnet", {"is_testnet": True}, 400, "unsupported", "kraken_testnet: it has no"),
        ("binanse", {}, 400, "unsupported", "binance"),
        ("bitmart", {}, 400, "unsupported", "does not know it any more"),
    ],
)
async def test_what_cannot_be_used_is_named_and_not_repeated(
    bridge: httpx.AsyncClient,
    exchange: str,
    fields: dict[str, Any],
    status: int,
    code: str,
    words: str,
) -> None:
    answer = await send(bridge, exchange, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert words in answer.json()["detail"]
    assert MARK not in answer.text
    assert BODY[:16] not in answer.text
    assert (await bridge.get("/connectors")).json()["connectors"] == []


@pytest.mark.parametrize(
    "written",
    [
        PEM,
        PEM.strip(),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", " "),
        "\ufeff" + PEM.replace("\n", " \n"),
    ],
    ids=["as it is", "stripped", "of Windows", "escaped", "in one line", "with blanks"],
)
async def test_a_pem_key_is_the_same_whatever_became_of_its_lines(
    bridge: httpx.AsyncClient, app: Any, written: str
) -> None:
    assert (await send(bridge, "revolutx", api_secret=written)).status_code == 200
    held = app.state.service.registry.connector("acme", "revolutx").remote
    assert held.privateKey == PEM


async def test_blanks_around_a_key_are_dropped_those_that_nobody_sees_too(
    bridge: httpx.AsyncClient, app: Any
) -> None:
    sent = {"api_key": f"\u00a0{KEY}\u200b\n", "api_secret": f"\t{SECRET} "}
    assert (await send(bridge, "binance", **sent)).status_code == 200
    held = app.state.service.registry.connector("acme", "binance").remote
    assert (held.apiKey, held.secret) == (KEY, SECRET)


async def test_supported_tells_what_each_exchange_needs_and_what_its_proof_is_worth(
    bridge: httpx.AsyncClient,
) -> None:
    told = (await bridge.get("/connectors/supported")).json()
    assert told["supported_exchanges"] == sorted(catalogue())
    assert told["exchanges"]["okx"]["fields"] == ["api_key", "api_secret", "password"]
    assert told["exchanges"]["okx"]["testnet"] == "okx_testnet"
    assert told["exchanges"]["okx"]["proves"] is True
    assert told["exchanges"]["hyperliquid"]["proves"] is False
    assert told["exchanges"]["kraken"]["testnet"] is None
    assert isinstance(told["left_out"], dict)


@pytest.mark.parametrize("name", sorted(MENDED))
async def test_a_correction_of_ccxt_is_needed_still(
    outward: Outward, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Without it a balance cannot even be asked for; once it can, the correction is to go."""
    sent: list[str] = []

    async def fetch(url: str, *_: object, **__: object) -> dict[str, Any]:
        sent.append(url)
        return {}

    monkeypatch.delitem(MENDED, name)
    shelf = Shelf(outward)
    remote = shelf.make(name, offered(name))
    remote.fetch, remote.load_markets = fetch, fetch
    with pytest.raises(Exception, match=r".*"):
        await remote.fetch_balance()
    await shelf.close()
    assert [url for url in sent if url] == []
