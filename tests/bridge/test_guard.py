from typing import Any

import pytest
from ccxt.base.errors import (
    AuthenticationError,
    BadResponse,
    BaseError,
    ExchangeNotAvailable,
    RateLimitExceeded,
)

from bridge.guard import Guarded, Malformed, refuse_go_betweens, refuse_nonsense, seen

URL = "https://api.somewhere.com/balance?signature=abc"


class Stock:
    """The part of a ccxt exchange that the guard leans on."""

    id = "somewhere"
    error: Exception | None = None

    def handle_errors(self, *_told: Any) -> None:
        if self.error:
            raise self.error

    def handle_http_status_code(self, code: int, *_told: Any) -> None:
        if code == 429:
            raise RateLimitExceeded("429")

    def sign(self, *_request: Any) -> str:
        if self.error:
            raise self.error
        return "signed"


class Watched(Guarded, Stock):
    pass


def told(status: int, body: str, parsed: Any, **headers: str) -> tuple[Any, ...]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (status, "", URL, "GET", named, body, parsed, {}, None)


def test_a_good_answer_passes() -> None:
    Watched().handle_errors(*told(200, '{"a":1}', {"a": 1}))
    Watched().handle_errors(*told(200, "[]", []))


@pytest.mark.parametrize("body", ["", "<html>", "null", '{"a":', "7", '"ok"'])
def test_what_is_not_json_is_a_bad_response(body: str) -> None:
    with pytest.raises(BadResponse):
        Watched().handle_errors(*told(200, body, None))


def test_an_empty_object_is_a_bad_response() -> None:
    with pytest.raises(BadResponse):
        Watched().handle_errors(*told(200, "{}", {}))


def test_an_empty_object_is_an_empty_account_where_accounts_are_objects() -> None:
    refuse_nonsense("backpack", 200, {})


@pytest.mark.parametrize("status", [300, 302, 423, 524, 529, 599])
def test_a_status_that_ccxt_does_not_list_is_no_success(status: int) -> None:
    with pytest.raises(ExchangeNotAvailable):
        Watched().handle_errors(*told(status, '{"a":1}', {"a": 1}))


def test_the_exchanges_own_words_come_first() -> None:
    watched = Watched()
    watched.error = AuthenticationError("no")
    with pytest.raises(AuthenticationError):
        watched.handle_errors(*told(500, '{"code":1}', {"code": 1}))


def test_an_error_remembers_the_status_and_the_patience() -> None:
    with pytest.raises(BaseError) as caught:
        Watched().handle_errors(*told(429, "", {"a": 1}, retry_After="9"))
    assert seen(caught.value) == (429, "9")


def test_an_error_that_saw_no_answer_remembers_none() -> None:
    assert seen(ValueError()) is None


@pytest.mark.parametrize("status", [401, 407, 511])
def test_a_login_asked_for_by_something_else_is_not_the_exchanges(status: int) -> None:
    with pytest.raises(ExchangeNotAvailable):
        refuse_go_betweens("binance", status, "<html>", None)


def test_an_exchanges_own_401_is_its_own() -> None:
    refuse_go_betweens("binance", 401, "{}", {"code": -2015})
    refuse_go_betweens("luno", 401, "{}", {"error": "no"})
    refuse_go_betweens("coinbase", 401, "Unauthorized\n", None)
    refuse_go_betweens("bybit", 401, "", None)


@pytest.mark.parametrize("error", [ValueError, TypeError, AttributeError, IndexError, KeyError])
def test_what_goes_wrong_while_signing_is_malformed_credentials(error: type[Exception]) -> None:
    watched = Watched()
    watched.error = error("the secret is hunter2")
    with pytest.raises(Malformed) as caught:
        watched.sign("path")
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_ccxts_own_errors_while_signing_stay_what_they_are() -> None:
    watched = Watched()
    watched.error = AuthenticationError("apiKey")
    with pytest.raises(AuthenticationError):
        watched.sign("path")
