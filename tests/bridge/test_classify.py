import re
from datetime import UTC, datetime

import pytest
from ccxt.base import errors as ccxt_errors

from bridge.classify import CLASSES, OVERRIDES, Raised, classify, seconds
from bridge.errors import CODES, STATUSES, Code


def meant(exchange: str, kind: str, text: str = "", status: int | None = None) -> Code:
    kinds = tuple(k.__name__ for k in getattr(ccxt_errors, kind).__mro__)
    return classify(Raised(exchange, kinds, text, status)).code


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("AuthenticationError", "refused"),
        ("PermissionDenied", "refused"),
        ("AccountNotEnabled", "refused"),
        ("AccountSuspended", "refused"),
        ("ManualInteractionNeeded", "refused"),
        ("RestrictedLocation", "unavailable"),
        ("ArgumentsRequired", "malformed"),
        ("NotSupported", "unsupported"),
        ("DDoSProtection", "throttled"),
        ("RateLimitExceeded", "throttled"),
        ("NetworkError", "unavailable"),
        ("ExchangeNotAvailable", "unavailable"),
        ("OnMaintenance", "unavailable"),
        ("RequestTimeout", "unavailable"),
        ("InvalidNonce", "unavailable"),
        ("BadResponse", "unclear"),
        ("NullResponse", "unclear"),
        ("BadRequest", "unclear"),
        ("ExchangeError", "unclear"),
        ("BaseError", "unclear"),
    ],
)
def test_a_class_of_ccxts_means(kind: str, code: Code) -> None:
    assert meant("somewhere", kind) == code


# What ccxt 4.5.90 raises, and with which text, where its class misleads.
CASES: list[tuple[str, str, str, Code]] = [
    ("binance", "DDoSProtection", 'binance {"code":-2015,"msg":"Invalid API-key, IP"}', "refused"),
    ("binance", "AuthenticationError", 'binance {"code":-2014,"msg":"format"}', "refused"),
    ("binanceusdm", "BadRequest", 'binanceusdm {"code":-1022,"msg":"Signature"}', "refused"),
    ("binanceusdm", "BadRequest", 'binanceusdm {"code":-1021,"msg":"Time"}', "unavailable"),
    ("tokocrypto", "DDoSProtection", 'tokocrypto {"code": -2015}', "refused"),
    ("bybit", "AuthenticationError", 'bybit {"retCode":10009,"retMsg":"IP"}', "throttled"),
    ("bybit", "InvalidNonce", 'bybit {"retCode":10002,"retMsg":"t"}', "unavailable"),
    ("gate", "AuthenticationError", 'gate {"label":"REQUEST_EXPIRED"}', "unavailable"),
    ("kraken", "ExchangeError", 'kraken {"error":["EAPI:Invalid signature"]}', "refused"),
    ("mexc", "BadRequest", 'mexc {"code":700006,"msg":"IP"}', "refused"),
    ("mexc", "BadRequest", 'mexc {"code":10072,"msg":"Api key info invalid"}', "refused"),
    ("mexc", "InvalidNonce", 'mexc {"code":700003,"msg":"Timestamp"}', "unavailable"),
    ("mexc", "BadRequest", 'mexc {"code":10073,"msg":"Request-Time"}', "unavailable"),
    ("okx", "ExchangeError", 'okx {"code":"50100","msg":"API frozen"}', "refused"),
    ("okx", "AuthenticationError", 'okx {"msg":"t","code":"50112"}', "unavailable"),
    ("myokx", "AuthenticationError", 'myokx {"msg":"t","code":"50112"}', "unavailable"),
    ("okx", "InvalidNonce", 'okx {"msg":"expired","code":"50102"}', "unavailable"),
    ("kucoin", "InvalidNonce", 'kucoin {"code":"400002","msg":"t"}', "unavailable"),
]


@pytest.mark.parametrize(("exchange", "kind", "text", "code"), CASES)
def test_where_ccxts_class_misleads_the_exchanges_own_code_counts(
    exchange: str, kind: str, text: str, code: Code
) -> None:
    assert meant(exchange, kind, text) == code


@pytest.mark.parametrize("row", OVERRIDES, ids=lambda row: f"{row[0]} {row[1]}")
def test_every_override_has_a_case(row: tuple[str, str, Code, str | None]) -> None:
    alone = [c for c in CASES if c[0].endswith(row[0]) or c[0].startswith((row[0], "toko"))]
    assert any(re.search(row[1], case[2]) for case in alone)


def test_an_override_of_one_exchange_does_not_reach_another() -> None:
    assert meant("kucoin", "ExchangeError", '{"code":"50100"}') == "unclear"


@pytest.mark.parametrize(
    ("status", "code"), [(418, "throttled"), (429, "throttled"), (451, "unavailable")]
)
def test_some_statuses_speak_louder_than_the_class(status: int, code: Code) -> None:
    assert meant("somewhere", "AuthenticationError", "", status) == code


def test_a_stranger_is_unclear() -> None:
    assert classify(Raised("binance", ("KeyError",), "")).code == "unclear"


def test_every_class_of_ccxts_has_a_meaning() -> None:
    for kind in vars(ccxt_errors).values():
        if isinstance(kind, type) and issubclass(kind, ccxt_errors.BaseError):
            assert any(base.__name__ in CLASSES for base in kind.__mro__)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, wait: float | None) -> None:
    assert seconds(header, datetime(2026, 11, 23, 12, tzinfo=UTC)) == wait


def test_every_code_has_a_status() -> None:
    assert set(STATUSES) == set(CODES)
