from datetime import UTC, datetime

import pytest
from ccxt.base import errors as ccxt_errors

from bridge.classify import CLASSES, LONGEST_S, Raised, classify, seconds
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


@pytest.mark.parametrize(
    ("exchange", "kind", "text", "code"),
    [
        ("binance", "DDoSProtection", 'binance {"code": -2015}', "refused"),
        ("binanceusdm", "BadRequest", 'binanceusdm {"code":-1022}', "refused"),
        ("tokocrypto", "DDoSProtection", 'tokocrypto {"code":-2015}', "refused"),
        ("binance_testnet", "DDoSProtection", 'binance {"code":-2015}', "refused"),
        ("myokx", "AuthenticationError", 'myokx {"code":"50112"}', "unavailable"),
        ("kucoin", "ExchangeError", 'kucoin {"code":"50100"}', "unclear"),
        ("okx", "NotSupported", "GET https://x.y/z?timestamp=1&expired=1", "unsupported"),
        ("binance", "ExchangeError", 'binance {"code":-20150}', "unclear"),
    ],
)
def test_an_exchanges_own_code_counts_in_its_family_and_nowhere_else(
    exchange: str, kind: str, text: str, code: Code
) -> None:
    assert meant(exchange, kind, text) == code


@pytest.mark.parametrize(
    ("causes", "code"),
    [
        (("ClientHttpProxyError", "ClientError"), "unavailable"),
        (("ClientConnectorError", "ClientConnectionError", "OSError"), "unavailable"),
        (("TimeoutError", "OSError"), "unavailable"),
        (("ClientPayloadError", "ClientError"), "unclear"),
    ],
)
def test_what_broke_the_connection_counts_before_what_ccxt_calls_it(
    causes: tuple[str, ...], code: Code
) -> None:
    raised = Raised("okx", ("AuthenticationError", "ExchangeError"), "", causes=causes)
    assert classify(raised).code == code


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("ExchangeError", 401, "refused"),
        ("ExchangeError", 500, "unavailable"),
        ("ExchangeError", 400, "unclear"),
        ("BadRequest", 530, "unavailable"),
        ("BadResponse", 500, "unclear"),
        ("PermissionDenied", 500, "refused"),
    ],
)
def test_words_that_ccxt_does_not_know_are_judged_by_the_status(
    kind: str, status: int, code: Code
) -> None:
    assert meant("somewhere", kind, "", status) == code


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
        ("²", None),
        ("9" * 400, LONGEST_S),
        ("Mon, 23 Nov 9999 12:00:00 GMT", LONGEST_S),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, wait: float | None) -> None:
    assert seconds(header, datetime(2026, 11, 23, 12, tzinfo=UTC)) == wait


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Way too many requests; IP banned until 1795435230000.", 30.0),
        ("EService:Throttled: 1795435230", 30.0),
        ("EService:Throttled", None),
        ("IP banned until 1795435170000.", 0.0),
    ],
)
def test_patience_is_read_from_the_text_when_no_header_tells(text: str, wait: float) -> None:
    raised = Raised("binance", ("RateLimitExceeded",), text)
    assert classify(raised, datetime(2026, 11, 23, 12, tzinfo=UTC)).retry_after == wait


def test_every_code_has_a_status() -> None:
    assert set(STATUSES) == set(CODES)
