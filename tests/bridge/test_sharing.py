"""Over all exchanges: connectors share nothing that one of them could write to."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from logging import Logger
from ssl import SSLContext
from typing import Any

import ccxt.async_support as ccxt
import httpx
import pytest

from bridge.catalogue import OWN_COPIES, catalogue
from bridge.clocks import Clock
from bridge.frozen import FrozenDict, FrozenList, ReadOnly
from bridge.pacer import Lane
from bridge.session import Outward
from bridge.shelf import Shelf
from tests.bridge.ccxt_source import written
from tests.bridge.plausible import offered

pytestmark = pytest.mark.anyio
FIXED = (str, int, float, type(None), type, re.Pattern)
# Shared on purpose, for none of them knows an account: ways out, and the pace of an exchange.
SERVICES = (Outward, SSLContext, Logger, Lane, Clock, asyncio.AbstractEventLoop)


@pytest.fixture
async def shelf(outward: Outward) -> AsyncIterator[Shelf]:
    made = Shelf(outward)
    yield made
    await made.close()


def writable(value: Any) -> Iterator[str]:
    """Yield the type of everything in *value* that somebody could write to."""
    match value:
        case FrozenDict():
            for pair in value.items():
                yield from writable(pair)
        case FrozenList() | tuple() | frozenset():
            for part in value:
                yield from writable(part)
        case _ if not isinstance(value, (*FIXED, *SERVICES)) and not callable(value):
            yield type(value).__name__


def _copied(name: str) -> set[str]:
    return set(OWN_COPIES[name].of) if name in OWN_COPIES else set()


async def test_all_that_connectors_share_is_read_only(shelf: Shelf) -> None:
    for name in catalogue():
        kind = shelf.get(name)._light
        for field in dir(kind):
            if not field.startswith("__"):
                assert not list(writable(getattr(kind, field))), (name, field)


async def test_each_connector_has_options_of_its_own(shelf: Shelf) -> None:
    for name in catalogue():
        one, other = shelf.get(name).make(offered(name)), shelf.get(name).make(offered(name))
        assert one.options is not other.options
        assert one.options == other.options
        deep = "options" in _copied(name)
        for option, value in one.options.items():
            assert deep or not list(writable(value)), (name, option)


@pytest.mark.parametrize("name", ccxt.exchanges)
def test_what_ccxt_writes_into_while_it_reads_a_balance_is_copied_for_each(name: str) -> None:
    assert written(getattr(ccxt, name)) == _copied(name)


async def test_supported_tells_of_what_each_connector_has_a_copy_and_why(
    shelf: Shelf, bridge: httpx.AsyncClient
) -> None:
    told = (await bridge.get("/connectors/supported")).json()["exchanges"]
    copied = {name: _not_shared(shelf.get(name).make(offered(name))) for name in told}
    said = {name: about["own_copy"] for name, about in told.items()}
    assert {name: set(own["of"]) if own else set() for name, own in said.items()} == copied
    assert set().union(*copied.values()) == {"has", "options"}  # so there is something to tell
    assert all(own["why"] for own in said.values() if own)


def _not_shared(remote: Any) -> set[str]:
    """Return the attributes that could be written to, options' own level aside."""
    own = {**vars(remote), "options": FrozenDict(remote.options)}
    return {field for field, value in own.items() if list(writable(value))}


@pytest.mark.parametrize("name", OWN_COPIES)
async def test_own_copies_are_each_ones_own(shelf: Shelf, name: str) -> None:
    one, other = shelf.get(name).make(offered(name)), shelf.get(name).make(offered(name))
    for field in _copied(name):
        before = repr(getattr(other, field))
        getattr(one, field)["mine"] = {"deep": 1}
        for value in getattr(one, field).values():
            if isinstance(value, dict):
                value["mine"] = 1
        assert repr(getattr(other, field)) == before


@pytest.mark.parametrize("name", ["binance", "kraken", "okx"])
async def test_a_write_to_markets_raises(shelf: Shelf, name: str) -> None:
    template = shelf.get(name)
    await template.markets()
    light = template.make(offered(name))
    market, currency = light.markets["BTC/USDT"], light.currencies["BTC"]
    with pytest.raises(ReadOnly):
        market["limits"]["amount"]["min"] = 0
    with pytest.raises(ReadOnly):
        market["info"].update(status="BREAK")
    with pytest.raises(ReadOnly):
        currency["precision"] = 0
    with pytest.raises(ReadOnly):
        light.symbols.append("X/Y")
    with pytest.raises(ReadOnly):
        light.markets_by_id[market["id"]].clear()


async def test_frozen_markets_are_arrays_of_markets_to_ccxt(shelf: Shelf) -> None:
    template = shelf.get("okx")
    markets = await template.markets()
    light = template.make(offered("okx"))
    assert light.to_array(markets) == light.toArray(markets) == list(markets.values())
    assert light.omit({"a": 1, "b": 2}, light.symbols, FrozenList(["a"])) == {"b": 2}
    assert light.market("BTC/USDT")["id"] == "BTC-USDT"
    assert light.extend(light.market("BTC/USDT"), {"id": "x"})["id"] == "x"
