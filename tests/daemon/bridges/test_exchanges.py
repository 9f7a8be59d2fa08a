"""Which fields an exchange's credentials have, as a bridge tells it."""

from daemon.bridges.trading import fields_told


def test_fields_are_told_in_our_words_and_what_is_not_as_it_should_be_is_left_out() -> None:
    told = {
        "okx": {"fields": ["api_key", "api_secret", "password"]},
        "odd": {"fields": "api_key"},
        "none": None,
        "numbers": {"fields": [1]},
    }
    assert fields_told(told) == {"okx": ["api_key", "api_secret", "passphrase"]}
