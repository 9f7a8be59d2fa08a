"""Texts that bridges in the field send, and what each tells us to do."""

import pytest

from daemon.bridges.words import meaning
from reconciler.verdicts import ExchangeAway, Refused, Throttled, Unsupported, Verdict

FAILED = "Failed to add connector: "
URL = "https://api.example.com/api/v3/account"


@pytest.mark.parametrize(
    "text",
    [
        'binance {"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}',
        'binance {"code":-2014,"msg":"API-key format invalid."}',
        'binance {"code": -1022, "msg": "Signature for this request is not valid."}',
        'binance DDoSProtection {"code":-2015,"msg":"..."}',
        'kraken {"error":["EAPI:Invalid key"]}',
        'kraken {"error":["EAPI:Invalid signature"]}',
        'kraken {"error":["EGeneral:Permission denied"]}',
        'okx {"msg":"Invalid OK-ACCESS-KEY","code":"50111"}',
        'okx {"msg":"Invalid Sign","code":"50113"}',
        'okx {"msg":"Request header OK-ACCESS-PASSPHRASE incorrect.","code":"50105"}',
        'okx {"msg":"Your IP is not included in your API key\'s IP whitelist.","code":"50110"}',
        'kucoin {"code":"400003","msg":"KC-API-KEY not exists"}',
        'kucoin {"code":"400004","msg":"Invalid KC-API-PASSPHRASE"}',
        'kucoin {"code":"400005","msg":"Invalid KC-API-SIGN"}',
        'bybit {"retCode":10003,"retMsg":"API key is invalid."}',
        'bybit {"retCode":10004,"retMsg":"error sign!"}',
        'gate {"label":"INVALID_KEY","message":"Invalid key provided"}',
        'mexc {"code":700006,"msg":"IP [1.2.3.4] not in the ip white list"}',
        "IP not whitelisted",
        "your address is not on the allowlist",
        "Invalid signature",
        "invalid api key",
        "API key has been revoked",
        "The api_secret is wrong",
        "Permission denied",
        f"mexc GET {URL} 401 Unauthorized {{}}",
    ],
)  # fmt: skip
def test_credentials_that_are_wrong_are_refused(text: str) -> None:
    assert meaning(FAILED + text) is Refused


@pytest.mark.parametrize(
    "text",
    [
        f"binance GET {URL} 429 Too Many Requests",
        'binance {"code":-1003,"msg":"Way too many requests; IP banned until 1700000000000."}',
        f"binance GET {URL} 418 I'm a teapot",
        "DDoSProtection: slow down",
        "bybit rate limit exceeded",
        'okx {"msg":"Requests too frequent","code":"50011"}',
        'kraken {"error":["EAPI:Rate limit exceeded"]}',
        'kucoin {"code":"429000","msg":"too many"}',
        "RateLimitExceeded",
    ],
)
def test_too_fast_is_throttled(text: str) -> None:
    assert meaning(FAILED + text) is Throttled


@pytest.mark.parametrize(
    "text",
    [
        "Unsupported exchange: ftx. Supported: ['binance', 'okx']",
        "module 'ccxt.async_support' has no attribute 'bitmart'",
        'okx requires "password" credential',
        "Incorrect padding",
        "non-hexadecimal number found in fromhex() arg at position 0",
        "okx does not have a testnet",
    ],
)
def test_what_this_bridge_cannot_do_for_anybody_is_unsupported(text: str) -> None:
    assert meaning(text) is Unsupported


@pytest.mark.parametrize(
    "text",
    [
        f"binance GET {URL}",  # ccxt's whole text for a timeout and for no route
        f"binance GET {URL} 502 Bad Gateway <html>",
        f"binance GET {URL} 403 Forbidden <html>",
        f"binance GET {URL} 401 Unauthorized <html>",  # a proxy's, not the exchange's
        f"binance GET {URL} 451 ",
        "binance Service unavailable from a restricted location according to 'b. Eligibility'",
        "ExchangeNotAvailable",
        "NetworkError: cannot connect",
        "Exchange did not respond within 30 seconds",
        'binance {"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}',
        'okx {"msg":"Timestamp request expired","code":"50102"}',
        'gate {"label":"REQUEST_EXPIRED","message":"gap between request timestamp and server"}',
        'kraken {"error":["EAPI:Invalid nonce"]}',
        'kraken {"error":["EService:Unavailable"],"x":"Service unavailable"}',
    ],
)
def test_an_exchange_out_of_reach_is_away(text: str) -> None:
    assert meaning(FAILED + text) is ExchangeAway


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Something is odd",
        "'NoneType' object is not subscriptable",
        "Account 'client_key' not found",
        "database is locked",
        "order 42900 of 1400003 at 150111",
    ],
)
def test_words_that_we_do_not_know_mean_nothing(text: str) -> None:
    expected: type[Verdict] | None = None
    assert meaning(text) is expected
