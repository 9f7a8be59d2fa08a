"""Which exchanges a bridge serves, and what each calls the fields of its credentials."""

from dataclasses import replace

import pytest

from bridge.catalogue import catalogue
from bridge.credentials import fill
from daemon.bridges.offers import Field, Offer, offers
from daemon.exchanges import WITHOUT
from tests.bridge.plausible import offered

KEY, SECRET = Field("api_key", "API key"), Field("api_secret", "API secret")


def test_fields_are_called_what_the_exchange_calls_them_and_stored_where_there_is_room() -> None:
    told = offers({"exchanges": catalogue()})
    assert told["binance"] == Offer((KEY, SECRET), testnet=True, proves=True, required=True)
    assert told["okx"].fields == (KEY, SECRET, Field("passphrase", "Passphrase"))
    assert told["coinmate"].fields == (KEY, SECRET, Field("passphrase", "User id"))
    wallet = Field("api_key", "Wallet address"), Field("api_secret", "Private key")
    assert told["hyperliquid"] == Offer(wallet, testnet=True, proves=False, required=True)
    assert told["polymarket"].fields == (Field("api_secret", "Private key"),)


def test_one_that_wants_more_than_a_stored_key_has_room_for_is_said_to_be_unfit() -> None:
    told = offers({"exchanges": catalogue()})
    assert [name for name, offer in told.items() if offer.unfit] == ["ndax"]
    assert "wants Login and User id beside" in told["ndax"].unfit


@pytest.mark.parametrize("exchange", sorted(set(catalogue()) - {"ndax"}))
def test_a_stored_key_of_every_other_exchange_holds_all_that_it_wants(exchange: str) -> None:
    about = catalogue()[exchange]
    fields = offers({"exchanges": catalogue()})[exchange].fields
    everything = offered(exchange)
    entered = {
        "api_key": everything.api_key,
        "api_secret": everything.api_secret,
        "passphrase": everything.memo if "memo" in about["fields"] else everything.password,
    }
    stored = {name: entered[name] for name in entered if name in {each.name for each in fields}}
    sent = replace(
        everything,
        api_key=stored.get("api_key", ""),
        api_secret=stored.get("api_secret", ""),
        password=stored.get("passphrase", ""),
        memo="",
    )
    assert fill(exchange, about["requires"], sent) == fill(exchange, about["requires"], everything)


def test_the_exchanges_that_lack_a_field_are_known_without_a_bridge() -> None:
    lacking = {
        name: next(iter({"api_key", "api_secret"} - {field.name for field in offer.fields}), None)
        for name, offer in offers({"exchanges": catalogue()}).items()
    }
    assert {name: field for name, field in lacking.items() if field} == WITHOUT


def test_without_exact_names_the_fields_of_the_contract_are_told() -> None:
    told = {
        "okx": {"fields": ["password", "api_key", "api_secret"]},
        "bitmart": {"fields": ["api_key", "api_secret", "memo"], "requires": ["apiKey", "odd"]},
    }
    assert offers({"exchanges": told}) == {
        "okx": Offer((KEY, SECRET, Field("passphrase", "Passphrase"))),
        "bitmart": Offer((KEY, SECRET, Field("passphrase", "User id"))),
    }


@pytest.mark.parametrize(
    "told",
    [
        *(None, [], "x", {}, {"exchanges": []}, {"exchanges": {"odd": {"fields": "api_key"}}}),
        *({"exchanges": {"none": None}}, {"exchanges": {"numbers": {"fields": [1]}}}),
    ],
)
def test_what_is_not_told_as_it_should_be_is_left_out(told: object) -> None:
    assert offers(told) == {}
