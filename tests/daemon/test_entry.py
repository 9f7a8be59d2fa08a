import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.entry import (
    BadEntry,
    KeyEntry,
    account_name,
    client_name,
    exchange_name,
    filed_account,
    key_entry,
    key_label,
)

CANARY = "canary-8f3a1c"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\nIB8=\n-----END EC PRIVATE KEY-----"


def _entry(**changed: str) -> KeyEntry:
    given = {"api_key": "k", "api_secret": "s"} | changed
    return key_entry("okx", given["api_key"], given["api_secret"], given.get("passphrase"))


@pytest.mark.parametrize("field", ["api_key", "api_secret", "passphrase"])
@pytest.mark.parametrize(
    "text",
    [
        *(f"{CANARY}\n{CANARY}", f"{CANARY}\x00", f"{CANARY}🔑", f"{CANARY}\x1b[2J"),
        *(f"{CANARY}\u200b", f"{CANARY}\ud800", f"{CANARY}\u00a0x", CANARY * 2_000),
    ],
)
def test_what_no_exchange_issues_is_refused_by_field_and_not_repeated(
    field: str, text: str
) -> None:
    with pytest.raises(BadEntry, match=f"^{field}: ") as caught:
        _entry(**{field: text})
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value.__cause__)


@pytest.mark.parametrize("field", ["api_key", "api_secret"])
@pytest.mark.parametrize("text", ["", "  \n ", f"'{CANARY}'", f"<b>{CANARY}", f"{CANARY} x"])
def test_keys_and_secrets_are_neither_empty_nor_quoted_nor_of_two_words(
    field: str, text: str
) -> None:
    with pytest.raises(BadEntry, match=f"^{field}: ") as caught:
        _entry(**{field: text})
    assert CANARY not in str(caught.value)


def test_a_passphrase_may_be_any_printable_text_and_none_at_all() -> None:
    entry = _entry(passphrase=" it's <mine>; a b ")
    assert entry.passphrase
    assert entry.passphrase.reveal() == "it's <mine>; a b"
    assert _entry(passphrase="").passphrase is None


def test_blanks_around_secrets_are_dropped() -> None:
    assert _entry(api_key=" k \r\n").api_key.reveal() == "k"


def test_a_pem_keeps_its_lines_as_a_secret_and_nowhere_else() -> None:
    assert _entry(api_secret=f"{PEM}\n").api_secret.reveal() == PEM
    with pytest.raises(BadEntry, match=r"^api_key: "):
        _entry(api_key=PEM)


def test_an_entry_does_not_print_its_secrets() -> None:
    entry = _entry(api_key=CANARY, api_secret=CANARY, passphrase=CANARY)
    assert CANARY not in repr(entry)


@pytest.mark.parametrize(
    ("check", "field"),
    [
        *((client_name, "name"), (key_label, "label")),
        *((exchange_name, "exchange"), (account_name, "account")),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        *("", "   ", "x" * 300, "a\nb", "a\x00b", "desk 🚀", "a\u202eb", "a\udcffb"),
        *("x'; DROP TABLE clients; --", "<script>alert(1)</script>"),
    ],
)
def test_words_that_could_harm_are_refused_by_field(check: object, field: str, text: str) -> None:
    assert callable(check)
    with pytest.raises(BadEntry, match=f"^{field}: "):
        check(text)


@pytest.mark.parametrize(
    "name", ["Acme Capital", "O'Brien & Sons, Ltd.", "Søren (desk #7)", "株式会社アクメ", "A/B+C"]
)
def test_names_of_all_the_world_are_fine(name: str) -> None:
    assert client_name(f" {name} ") == name
    assert key_label(name) == name


@pytest.mark.parametrize("account", ["x" * 201, "client_a/b", "client_a\\b", ".", "..", ""])
def test_an_account_that_no_bridge_takes_is_refused_with_the_cure(account: str) -> None:
    with pytest.raises(BadEntry, match=r"^name: .* another account$"):
        filed_account(account)


@pytest.mark.parametrize("account", ["x" * 200, "client_株式会社アクメ", "client_.."])
def test_an_account_of_any_script_is_fine(account: str) -> None:
    assert filed_account(account) == account


@settings(deadline=None)
@given(st.text(), st.sampled_from(["api_key", "api_secret", "passphrase"]))
def test_whatever_is_entered_is_stored_as_printable_text_or_refused(text: str, field: str) -> None:
    try:
        entry = _entry(**{field: text})
    except BadEntry:
        return
    secret = getattr(entry, field)
    if secret is None:
        assert text == ""
    else:
        assert secret.reveal() == text.strip()
        assert secret.reveal().isascii()
        assert secret.reveal().isprintable()


@settings(deadline=None)
@given(st.text())
def test_a_name_that_is_accepted_prints_on_one_line(text: str) -> None:
    try:
        name = client_name(text)
    except BadEntry:
        return
    assert name.isprintable() or name.isascii() is False
    assert len(name.splitlines()) == 1


def test_a_field_that_the_exchange_does_not_have_may_be_empty_and_no_other() -> None:
    entry = key_entry("Polymarket", "", "0x" + "1" * 64)
    assert entry.api_key.reveal() == ""
    assert key_entry("dydx", "dydx1qqq", " ").api_secret.reveal() == ""
    for exchange, key, secret, field in [
        ("polymarket", "", "", "api_secret"),
        ("dydx", "", "s", "api_key"),
        ("binance", "", "s", "api_key"),
    ]:
        with pytest.raises(BadEntry, match=f"^{field}: is empty"):
            key_entry(exchange, key, secret)


@pytest.mark.parametrize(
    ("text", "near"),
    [("gate.io", "gate"), ("crypto.com", "cryptocom"), ("Coinbase Pro", "coinbaseexchange")],
)
def test_an_exchange_that_is_written_otherwise_is_told_its_id(text: str, near: str) -> None:
    with pytest.raises(BadEntry, match=rf"did you mean {near}\?"):
        exchange_name(text)
