import base64
import json
from urllib.parse import quote

import pytest

from bridge.logs import scrubbed
from bridge.scrub import scrub

SECRET = "hunter2/+ö"


@pytest.mark.parametrize(
    "disguise",
    [
        SECRET,
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        f"before {SECRET} after",
    ],
)
def test_a_known_secret_is_found_in_every_disguise(disguise: str) -> None:
    assert disguise not in scrub(disguise, [SECRET])
    assert "hunter2" not in scrub(disguise, [SECRET])


@pytest.mark.parametrize(
    "text",
    [
        "binance GET https://api.binance.com/api/v3/account?timestamp=1&signature=hunter2",
        'headers {"X-MBX-APIKEY": "hunter2", "a": "b"}',
        "{'OK-ACCESS-PASSPHRASE': 'hunter2'}",
        "api_secret=hunter2&b=c",
        "Authorization: Bearer hunter2",
        json.dumps({"api_secret": "hunter2"}),
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2 cut off",
        "sign 0123456789abcdef0123456789abcdefhunter2",
    ],
)
def test_what_looks_secret_goes(text: str) -> None:
    assert "hunter2" not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        'binance {"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}',
        'kraken {"error":["EAPI:Invalid signature"]}',
        "okx GET https://www.okx.com/api/v5/account/balance 503 Service Unavailable",
        "exchanges_replaced_by_a_stand_in",
    ],
)
def test_what_explains_stays(text: str) -> None:
    assert scrub(text) == text


def test_a_long_text_is_cut() -> None:
    assert len(scrub("so long " * 1000, limit=50)) == 50


def test_a_log_line_loses_private_fields_and_secrets_in_any_text() -> None:
    event = {"event": "x", "api_secret": "abc", "url": "https://h/p?signature=abc", "n": 1}
    assert scrubbed(None, "info", event) == {
        "event": "x",
        "api_secret": "***",
        "url": "https://h/p?***",
        "n": 1,
    }
