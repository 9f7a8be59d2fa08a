"""What is taken out of words, and what stays readable."""

import pytest

from daemon.scrub import LONGEST, is_private, masked, scrubbed, shown


@pytest.mark.parametrize(
    "text",
    [
        "GET https://api.example.com/account?timestamp=1&signature=S3CRET",
        "https://api.example.com/account?foo=S3CRET",
        "/path?signature=S3CRET&x=1",
        "postgresql+asyncpg://app:S3CRET@db/keys",
        "postgresql://app:p@S3CRET@db/keys",
        '{"api_secret": "S3CRET"}',
        '{"api_secret": "a \\" S3CRET"}',
        '{"api_secret": "cut off S3CRET',
        "{'password': 'S3CRET'}",
        "('api_key', 'S3CRET')",
        "X-MBX-APIKEY: S3CRET-of-the-key",
        "Authorization: Bearer S3CRET.of.the.key",
        "api_key=S3CRET",
        "ENCRYPTION_KEY=S3CRET",
        "gAAAAABmS3CRETS3CRETS3CRETS3CRETS3CRET==",
        "-----BEGIN EC PRIVATE KEY-----\nS3CRET\n-----END EC PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nS3CRET, cut off",
    ],
)
def test_what_has_the_form_of_a_secret_is_masked(text: str) -> None:
    assert "S3CRET" not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "HTTP 500: Failed to add connector: binance Invalid API-key, IP, or permissions for action",
        "Signature for this request is not valid.",
        "Invalid signature: expected another",
        "postgresql://app@db:5432/keys",
        "main/client_acme/binance 0f9b0a0e-0000-4000-8000-000000000000",
        "Trading Bridge timeout: Service did not respond within 30 seconds",
    ],
)
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert scrubbed(text) == text


def test_long_words_that_could_be_signatures_go_from_messages() -> None:
    assert scrubbed("signed 0af1" + "0af1" * 15) == "signed ***"


def test_a_short_secret_does_not_garble_other_words() -> None:
    assert scrubbed("a key was bad: a", ["a"]) == "*** key was bad: ***"


def test_no_secret_takes_nothing_away() -> None:
    assert scrubbed("all of it", ["", ""]) == "all of it"


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "API_SECRET", "db_password", "signature", "ENCRYPTION_KEY"),
        *("token", "x-api-key", "authorization", "passphrase"),
    ],
)
def test_a_name_tells_that_its_value_is_private(name: str) -> None:
    assert is_private(name)


@pytest.mark.parametrize("name", ["key", "key_id", "keys", "slot", "message", "signal", "passed"])
def test_most_names_are_harmless(name: str) -> None:
    assert not is_private(name)


def test_a_message_is_one_printable_line_of_bounded_length() -> None:
    text = shown("one\r\n\x1b[31mtwo\x00\u202ethree\u2028four " + "x" * 1000)
    assert text.startswith("one [31mtwo three four xxx")
    assert len(text) == LONGEST
    assert text.isprintable()
