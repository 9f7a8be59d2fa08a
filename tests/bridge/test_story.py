"""A backend of the story, with its own client, before a real bridge and a real paper exchange."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.bridge.story_client import Balance, StoryClient, StoryError

KEYS = {"api_key": "key-of-acme", "api_secret": "c2VjcmV0LW9mLWFjbWU="}
PASSPHRASE = "pass phrase"


@pytest.fixture
def client(start: Any) -> Iterator[StoryClient]:
    _, exchange = start("bridge.paper", "--port", 0)
    for name in ("binance", "okx"):
        balances = {"BTC": "0.6", "USDT": "1000"}
        body = {"exchange": name, **KEYS, "password": PASSPHRASE, "balances": balances}
        httpx.post(f"{exchange}/_paper/credentials", json=body).raise_for_status()
    _, address = start("bridge", "--port", 0, "--exchange-origin", exchange)
    with closing(StoryClient(address)) as client:
        yield client


def test_its_whole_day_works_unchanged(client: StoryClient) -> None:
    assert client.healthy()
    assert client.accounts() == {}
    assert client.account("client_acme") is None
    assert {"binance", "kraken", "okx"} <= set(client.supported())
    client.create_account("client_acme")
    client.create_account("client_acme")  # it does so before each key
    said = client.initialize("client_acme", "Binance", **KEYS)
    assert (said["connector"], type(said["markets_loaded"])) == ("binance", int)
    client.initialize("client_acme", "okx", **KEYS, passphrase=PASSPHRASE)
    assert client.accounts() == {"client_acme": ["binance", "okx"]}
    account: Any = client.account("client_acme")
    assert (account["name"], account["connectors"]) == ("client_acme", ["binance", "okx"])
    assert datetime.fromisoformat(account["created_at"]).tzinfo is None
    found, errors = client.balances("client_acme")
    assert errors == {}
    assert set(found) == {
        Balance(exchange, asset, amount, amount)
        for exchange in ("binance", "okx")
        for asset, amount in (("BTC", 0.6), ("USDT", 1000.0))
    }


def test_a_wrong_key_shows_as_an_error_beside_what_could_be_read(client: StoryClient) -> None:
    client.initialize("client_acme", "binance", **KEYS)
    client.initialize("client_acme", "okx", "wrong-key", KEYS["api_secret"], PASSPHRASE)
    found, errors = client.balances("client_acme")
    assert {balance.connector for balance in found} == {"binance"}
    assert "refused these credentials" in errors["okx"]
    client.initialize("client_acme", "okx", **KEYS, passphrase=PASSPHRASE)  # adding again replaces
    assert client.balances("client_acme")[1] == {}


def test_what_it_shows_its_administrator_is_a_sentence(client: StoryClient) -> None:
    with pytest.raises(StoryError, match="HTTP 400: Unsupported exchange: ftx"):
        client.initialize("client_acme", "ftx", **KEYS)
    with pytest.raises(StoryError, match=r"HTTP 422: okx needs .*password"):
        client.initialize("client_acme", "okx", **KEYS)
    with pytest.raises(StoryError, match="HTTP 404: Account 'nobody' not found"):
        client.balances("nobody")
