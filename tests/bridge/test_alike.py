"""A light object sends and reads what a stock one does, and accounts never show in each other."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import ccxt.async_support as ccxt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.catalogue import catalogue
from bridge.credentials import Offered
from bridge.frozen import thaw
from bridge.mends import MENDED
from bridge.session import Outward
from bridge.shelf import Shelf
from tests.bridge.plausible import changed, offered
from tests.bridge.still import still

pytestmark = pytest.mark.anyio
Answers = Mapping[str, Any]

_HELD = {"asset": "BTC", "currency": "BTC", "coin": "BTC", "free": "0.5", "available": "0.5"}
_HELD |= {"locked": "0.1", "frozen": "0.1", "holds": "0.1", "balance": "0.6", "type": "trade"}
_BYBIT = {"coin": "BTC", "walletBalance": "0.6", "locked": "0.1", "equity": "0.6"}
_OKX = {"ccy": "BTC", "cashBal": "0.6", "availBal": "0.5", "frozenBal": "0.1", "eq": "0.6"}
# What is answered, by a part of the address, in the shapes that the exchanges document.
HONEST: Mapping[str, Answers] = {
    "binance": {"/account": {"balances": [_HELD], "updateTime": 1}},
    "okx": {"/account/balance": {"code": "0", "data": [{"details": [_OKX], "uTime": "1"}]}},
    "kraken": {
        "/BalanceEx": {"error": [], "result": {"XXBT": {"balance": "0.6", "hold_trade": "0.1"}}}
    },
    "kucoin": {"/accounts": {"code": "200000", "data": [_HELD]}},
    "bybit": {
        "/query-api": {"retCode": 0, "result": {"unified": 1, "uta": 1}},
        "/wallet-balance": {
            "retCode": 0,
            "time": 1,
            "result": {"list": [{"accountType": "UNIFIED", "coin": [_BYBIT]}]},
        },
    },
    "gate": {"/spot/accounts": [_HELD]},
    "mexc": {"/account": {"balances": [_HELD]}},
    "bitget": {
        "/account/settings": {"code": "00000", "data": {"assetMode": "single"}},
        "/account/assets": {"code": "00000", "data": {"assets": [_HELD]}},
    },
}


@pytest.fixture
async def shelf(outward: Outward) -> AsyncIterator[Shelf]:
    made = Shelf(outward)
    yield made
    await made.close()


# What KuCoin is asked by ccxt while it loads markets, and by ours before a balance.
_FIRST = "/hf/accounts/opened"


class Wire:
    """Stands where the network is: keeps what is sent, and answers by the address."""

    def __init__(self, remote: Any) -> None:
        self.sent: list[str] = []
        self.answers: Answers = {}
        self._remote = remote
        remote.fetch, remote.load_markets, remote.throttle = self._fetch, _nothing, _nothing
        still(remote)

    async def ask(self, answers: Answers) -> tuple[list[str], Any]:
        """Return what was sent, and the balance or the kind of what ccxt raised."""
        self.sent, self.answers = [], answers
        try:
            found = await self._remote.fetch_balance()
        except Exception as error:  # noqa: BLE001 - ccxt raises anything, also where it meets nothing
            return self.sent, type(error).__name__
        return self.sent, {**found}

    async def _fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        if _FIRST in url:
            return {}
        self.sent.append(f"{method} {url} {headers!r} {body!r}")
        if len(self.sent) > 6:
            raise ccxt.NetworkError("enough")
        found: Any = next((told for part, told in self.answers.items() if part in url), {})
        if isinstance(found, Exception):
            raise found
        return found


async def _nothing(*_: object, **__: object) -> dict[str, Any]:
    return {}


def stock(name: str, light: Any, outward: Outward) -> Any:
    """Return ccxt's own object with the credentials and the options that *light* has."""
    kind = MENDED.get(name) or getattr(ccxt, name)
    made = kind({"ssl_context": outward.tls, "enableRateLimit": False})
    for field, value in vars(light).items():
        if isinstance(value, str):
            setattr(made, field, value)
    made.options = thaw(light.options)
    return made


@pytest.mark.parametrize("name", sorted(catalogue()))
async def test_a_light_object_sends_what_a_stock_one_sends(
    shelf: Shelf, outward: Outward, name: str
) -> None:
    made = shelf.make(name, offered(name))
    other, light = Wire(stock(name, made, outward)), Wire(made)
    told = HONEST.get(name, {})
    for answers in (told, {"": ccxt.AuthenticationError("no")}, told):
        sent, found = await light.ask(answers)
        assert (sent, found) == await other.ask(answers)
        # ccxt would have some exchanges take a fee for it
        assert "approve" not in " ".join(sent).lower()
    if name in HONEST:
        assert found["total"] == {"BTC": 0.6}


KINDS: Mapping[str, Callable[[str], Answers]] = {
    "honest": lambda name: HONEST.get(name, {}),
    "empty": lambda _: {},
    "refused": lambda _: {"": ccxt.AuthenticationError("no")},
    "away": lambda _: {"": ccxt.ExchangeNotAvailable("away")},
}
STEPS = [(account, deed) for deed in (*sorted(KINDS), "removed") for account in (0, 1)]
"""Whose account, and what it meets: in whatever order."""


@pytest.mark.parametrize("about", sorted(catalogue()))
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.permutations(STEPS))
async def test_no_account_ever_shows_in_another(
    shelf: Shelf, outward: Outward, about: str, steps: list[tuple[int, str]]
) -> None:
    """Whatever came before to others, each account hears and sends what it would alone."""
    together: dict[tuple[str, int], Wire] = {}
    alone: dict[tuple[str, int], Wire] = {}
    shared = _shared(shelf, about)
    for account, kind in steps:
        who = name, _ = about, account
        credentials = _of(*who)
        if kind == "removed":
            together.pop(who, None)
            alone.pop(who, None)
            continue
        if who not in together:
            together[who] = Wire(shelf.make(name, credentials))
            lonely = Shelf(outward)
            alone[who] = Wire(lonely.make(name, credentials))
        answers = KINDS[kind](name)
        sent, found = await together[who].ask(answers)
        assert (sent, found) == await alone[who].ask(answers)
        other = _of(name, 1 - account)
        assert not any(secret in text for text in sent for secret in _own(other, credentials))
    assert shared == _shared(shelf, about)


def _of(name: str, account: int) -> Offered:
    return changed(name, "api_key") if account else offered(name)


def _own(other: Offered, mine: Offered) -> list[str]:
    return [secret for secret in other.secrets() if secret not in mine.secrets()]


def _shared(shelf: Shelf, name: str) -> str:
    kind = shelf.get(name)._light
    return repr({f: v for f, v in vars(kind).items() if isinstance(v, dict | list | tuple)})
