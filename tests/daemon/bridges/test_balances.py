"""Balances in every shape, exact to the last digit, and never silently empty."""

from decimal import Decimal

import pytest

from daemon.bridges.balances import Amount, Balances, Failure, Portfolio, portfolio
from daemon.bridges.trading import TradingBridge
from daemon.bridges.translate import Answer
from reconciler.verdicts import ExchangeAway, NotThere, Refused, Unclear
from tests.daemon.bridges.conftest import NOW, SLOT, credentials
from tests.daemon.bridges.story import REFUSAL, StoryBridge

BTC = Amount("BTC", Decimal("0.5"), Decimal("0.1"), Decimal("0.6"))


def read(text: str) -> Portfolio:
    return portfolio(Answer(200, {}, text.encode()), NOW)


def only(text: str) -> Balances | Failure:
    (found,) = read(text).by_connector.values()
    return found


def failure(found: Balances | Failure) -> Failure:
    assert isinstance(found, Failure)
    return found


def test_balances_by_exchange_are_read() -> None:
    text = '{"balances":{"Gateio":{"BTC":{"total":0.6,"free":0.5,"used":0.1}}}}'
    assert read(text).by_connector == {"gate": Balances((BTC,))}


def test_balances_as_rows_are_read() -> None:
    row = '{"connector":"%s","asset":"%s","free":0.5,"locked":0.1,"total":0.6}'
    rows = ",".join([row % ("okx", "BTC"), row % ("okx", "ETH"), row % ("htx", "BTC")])
    found = read(f'{{"balances":[{rows}]}}').by_connector
    eth = Amount("ETH", BTC.free, BTC.locked, BTC.total)
    assert found == {"okx": Balances((BTC, eth)), "htx": Balances((BTC,))}


@pytest.mark.parametrize("number", ["0.1", "1e-8", "123456789012345678901234567890.123456789", "7"])
def test_an_amount_is_the_number_that_was_written(number: str) -> None:
    found = only(f'{{"balances":{{"okx":{{"X":{{"free":{number},"total":"{number}"}}}}}}}}')
    assert isinstance(found, Balances)
    assert (found.amounts[0].free, found.amounts[0].total) == (Decimal(number), Decimal(number))


@pytest.mark.parametrize(
    "fields",
    [
        '"free":0.5,"locked":0.1',
        '"total":0.6,"used":0.1',
        '"available":0.5,"total":0.6,"used":null',
    ],
)
def test_a_missing_field_is_derived_from_the_others(fields: str) -> None:
    row = f'{{"connector":"okx","asset":"BTC",{fields}}}'
    assert only(f'{{"balances":[{row}]}}') == Balances((BTC,))


def test_what_cannot_be_derived_is_not_made_up() -> None:
    found = only('{"balances":[{"connector":"okx","asset":"BTC","free":0.5}]}')
    assert found == Balances((Amount("BTC", Decimal("0.5"), None, None),))


def test_what_ccxt_puts_beside_the_assets_is_no_asset() -> None:
    beside = '"info":{},"timestamp":1,"datetime":null,"free":{"BTC":0.5}'
    text = f'{{"balances":{{"okx":{{{beside},"BTC":{{"total":0.6,"free":0.5,"used":0.1}}}}}}}}'
    assert only(text) == Balances((BTC,))


def test_a_failing_exchange_is_a_failure_named_by_its_words() -> None:
    text = REFUSAL.replace('"', '\\"')
    found = failure(only(f'{{"balances":{{"binance":{{"error":"{text}"}}}}}}'))
    assert type(found.verdict) is Refused
    assert "Invalid API-key" in found.message


def test_a_code_outweighs_the_words() -> None:
    found = failure(only('{"balances":{"okx":{"error":"Invalid key","code":"unavailable"}}}'))
    assert type(found.verdict) is ExchangeAway


def test_a_failing_row_is_not_covered_up_by_amounts() -> None:
    rows = '{"connector":"okx","error":"odd"},{"connector":"okx","asset":"BTC","total":1}'
    assert type(failure(only(f'{{"balances":[{rows}]}}')).verdict) is Unclear


@pytest.mark.parametrize("said", ["null", "[]", "5", '{"BTC":{"total":"many"}}',
                                  '{"BTC":{"total":"NaN"}}', '{"BTC":{"total":1e999}}',
                                  '{"BTC":{"total":[]}}', '{"error":null}'])  # fmt: skip
def test_nonsense_is_a_failure_and_no_zero(said: str) -> None:
    found = failure(only(f'{{"balances":{{"okx":{said}}}}}'))
    assert type(found.verdict) is Unclear
    assert found.message


@pytest.mark.parametrize(
    "body", ["", "null", "{}", '{"balances":null}', '{"balances":{', "[" * 9999]
)
def test_what_is_no_portfolio_is_unclear(body: str) -> None:
    with pytest.raises(Unclear):
        read(body)


@pytest.mark.parametrize("shape", ["{}", "[]"])
def test_a_connector_passed_over_in_silence_is_explained(shape: str) -> None:
    found = read(f'{{"balances":{shape}}}').explained(["binance"])
    assert failure(found["binance"]).message


@pytest.mark.anyio
async def test_balances_come_over_the_wire(bridge: TradingBridge, story: StoryBridge) -> None:
    await bridge.initialize(SLOT, credentials(), "f1")
    found = await bridge.balances(SLOT.account, expected=["binance", "okx"])
    assert found["binance"] == Balances((BTC,))
    assert failure(found["okx"]).message
    story.as_list = True
    assert isinstance((await bridge.balances(SLOT.account))["binance"], Balances)


@pytest.mark.anyio
async def test_an_unknown_account_is_no_empty_one(bridge: TradingBridge) -> None:
    with pytest.raises(NotThere):
        await bridge.balances("client_nobody")
