from datetime import UTC, datetime, timedelta

import pytest

from daemon.words import (
    BUTTONS,
    commands,
    cure,
    cure_for_client,
    length,
    relative,
    requests,
    sentence,
)
from reconciler.model import Reason

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("reason", [*Reason, "disabled", "suspended"])
def test_every_reason_has_a_sentence_of_its_own_and_a_cure(reason: str) -> None:
    assert sentence(reason) != reason
    assert " " in sentence(reason)
    assert cure(reason, BUTTONS) != cure("moonstruck", BUTTONS)
    others = {sentence(other) for other in Reason if other != reason}
    assert sentence(reason) not in others


@pytest.mark.parametrize("reason", [*Reason, "disabled", "suspended", "moonstruck"])
def test_a_cure_names_no_command_to_whoever_has_buttons_or_requests(reason: str) -> None:
    for do in (BUTTONS, requests("a-key", "a-client")):
        assert "bridgetender" not in cure(reason, do)
    assert "{" not in cure(reason, commands("a-key", "a-client"))


def test_the_way_to_do_it_is_of_who_reads_and_of_the_very_key() -> None:
    typed, sent = commands("a-key", "a-client"), requests("a-key", "a-client")
    assert cure("refused", typed).endswith("at fault: bridgetender reinit --key a-key")
    assert cure("refused", sent).endswith(
        "at fault: POST /api/admin/clients/a-client/api-keys/a-key/reinitialize"
    )
    assert cure("refused", BUTTONS).endswith("at fault: press Reinitialize")


def test_a_client_is_told_to_wait_or_whom_to_ask() -> None:
    assert cure_for_client(cure("lost", BUTTONS)) == "wait: it is tried again by itself"
    assert cure_for_client(cure("undecryptable", BUTTONS)) == "ask whoever manages your keys"


def test_the_message_follows_the_sentence() -> None:
    words = "the exchange refuses these credentials"
    assert sentence("refused") == words
    assert sentence("refused", "-2015") == f"{words}: -2015"


def test_a_reason_of_a_later_version_is_shown_as_it_is() -> None:
    assert sentence("moonstruck") == "moonstruck"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0.0, "now"), (0.4, "now"), (12, "in 12 s"), (119, "in 119 s"), (240, "in 4 min")),
        *((21_600, "in 6 h"), (259_200, "in 3 d"), (-12, "12 s ago"), (-86_400, "24 h ago")),
    ],
)
def test_times_are_said_from_now(seconds: float, words: str) -> None:
    assert relative(NOW + timedelta(seconds=seconds), NOW) == words


def test_no_time_is_no_words() -> None:
    assert relative(None, NOW) == ""


def test_what_is_said_of_a_live_connector_is_why_it_is_not_proven() -> None:
    assert sentence(Reason.APPLIED) == "the bridge has these credentials"
    assert sentence(Reason.APPLIED, "HTTP 503: okx could not be asked") == (
        "the bridge has these credentials, but the last proof failed:"
        " HTTP 503: okx could not be asked"
    )


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("90s", 90),
        ("30min", 1_800),
        ("30m", 1_800),
        (" 2 h", 7_200),
        ("3d", 259_200),
        ("1w", 604_800),
    ],
)
def test_a_length_of_time_is_read_as_people_write_it(said: str, seconds: int) -> None:
    assert length(said) == timedelta(seconds=seconds)


@pytest.mark.parametrize("said", ["", "2", "h", "-1h", "1.5h", "2 hours", "123456s", "\u0662h"])
def test_what_is_no_length_of_time_is_said_to_be_none(said: str) -> None:
    with pytest.raises(ValueError, match="no length of time: 90s, 30min, 2h, 3d or 1w"):
        length(said)
