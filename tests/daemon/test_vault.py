import base64
import pickle
from collections.abc import Callable
from itertools import count
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.vault import BadEncryptionKey, FernetVault, Keyring, ends, new_key, parse_keys
from reconciler.model import ClientId, Credentials, KeyId, SealedKey, Secret, Slot, StoredKey
from reconciler.routes import MAIN
from reconciler.verdicts import Undecryptable

FIRST, SECOND, OTHER = new_key(), new_key(), new_key()
KEY = StoredKey(KeyId(UUID(int=1)), ClientId(UUID(int=2)), Slot(MAIN, "a", "okx"), "okx", "d")
VAULT = FernetVault(Keyring([FIRST]), Secret("fingerprint key"))
plain = st.text().map(Secret)
credentials = st.builds(Credentials, plain, plain, st.none() | plain.filter(lambda s: s.reveal()))


def _sealed(ring: Keyring, *texts: str) -> SealedKey:
    return SealedKey(KEY, *(ring.seal(Secret(text)) for text in texts))


@settings(deadline=None)
@given(plain)
def test_what_was_sealed_is_unsealed_and_never_looks_the_same_twice(secret: Secret) -> None:
    ring = Keyring([FIRST])
    token = ring.seal(secret)
    assert ring.unseal(token) == secret
    assert ring.seal(secret) != token
    assert token.startswith("gAAAA")


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old, new = Keyring([FIRST]), Keyring([SECOND, FIRST])
    assert new.unseal(old.seal(Secret("x"))) == Secret("x")
    token = new.seal(Secret("y"))
    assert Fernet(SECOND.reveal()).decrypt(token) == b"y"
    with pytest.raises(Undecryptable):
        old.unseal(token)


WORD = "pbkdf2:the%20salt:a%20passphrase%2C%20and%20more"


@pytest.mark.parametrize("wrap", [base64.b64encode, base64.urlsafe_b64encode])
@settings(deadline=None)
@given(plain)
def test_a_ciphertext_in_base64_once_more_is_read_as_it_is(
    wrap: Callable[[bytes], bytes], secret: Secret
) -> None:
    ring = Keyring([FIRST])
    wrapped = wrap(ring.seal(secret).encode()).decode()
    assert ring.unseal(wrapped) == secret
    assert ring.unseal(wrapped.rstrip("=")) == secret


def test_a_key_may_be_derived_from_a_passphrase_as_the_field_does() -> None:
    derivation = PBKDF2HMAC(hashes.SHA256(), length=32, salt=b"the salt", iterations=100_000)
    derived = base64.urlsafe_b64encode(derivation.derive(b"a passphrase, and more"))
    token = Fernet(derived).encrypt(b"x").decode()
    ring = Keyring(parse_keys(f"{FIRST.reveal()}, {WORD}"))
    assert ring.unseal(token) == Secret("x")
    assert ring.unseal(base64.b64encode(token.encode()).decode()) == Secret("x")
    assert Keyring(parse_keys(WORD)).unseal(Keyring(parse_keys(WORD)).seal(Secret("y"))) == Secret(
        "y"
    )


@pytest.mark.parametrize(
    "token",
    [
        *("", "gAAAA", "nonsense", "é", "🔑", "\x00", "gAAAAA" * 50, "\ud800"),
        base64.b64encode(b"gAAAA").decode(),
        base64.b64encode(base64.b64encode(Keyring([FIRST]).seal(Secret("x")).encode())).decode(),
        Keyring([OTHER]).seal(Secret("x")),
        Fernet(FIRST.reveal()).encrypt(b"\xff\xfe").decode(),
    ],
    ids=count(),  # the same in each run
)
def test_what_no_key_reads_is_undecryptable_and_named_without_its_text(token: str) -> None:
    with pytest.raises(Undecryptable) as caught:
        Keyring([FIRST, SECOND]).unseal(token, "api_secret")
    assert str(caught.value) == "no key of the keyring reads api_secret"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("field", [0, 1, 2])
def test_one_field_that_cannot_be_read_makes_the_row_undecryptable(field: int) -> None:
    names = ("api_key", "api_secret", "passphrase")
    texts = [Keyring([FIRST]).seal(Secret("x"))] * 3
    texts[field] = Keyring([OTHER]).seal(Secret("x"))
    with pytest.raises(Undecryptable, match=f"reads {names[field]}$"):
        VAULT.open(SealedKey(KEY, *texts))


@pytest.mark.parametrize("passphrase", [None, "", "p"])
def test_an_empty_passphrase_is_none(passphrase: str | None) -> None:
    ring = Keyring([FIRST])
    sealed = SealedKey(
        KEY, ring.seal(Secret("k")), ring.seal(Secret("s")), None if passphrase is None else ""
    )
    assert VAULT.open(sealed).passphrase is None
    assert VAULT.open(_sealed(ring, "k", "s", "p")).passphrase == Secret("p")


@settings(deadline=None)
@given(credentials, credentials)
def test_fingerprints_are_equal_for_equal_credentials_only(
    one: Credentials, other: Credentials
) -> None:
    assert (VAULT.fingerprint(one) == VAULT.fingerprint(other)) == (one == other)


def test_where_one_field_ends_and_the_next_begins_counts() -> None:
    pairs = [("ab", "c", None), ("a", "bc", None), ("a", "b", "c"), ("", "abc", None)]
    made = {
        VAULT.fingerprint(Credentials(Secret(k), Secret(s), None if p is None else Secret(p)))
        for k, s, p in pairs
    }
    assert len(made) == len(pairs)


@settings(deadline=None)
@given(credentials)
def test_encrypting_again_keeps_the_fingerprint_and_another_key_does_not(
    these: Credentials,
) -> None:
    texts = [s.reveal() for s in (these.api_key, these.api_secret, these.passphrase) if s]
    if these.passphrase is None:
        texts = texts[:2]
    moved = FernetVault(Keyring([SECOND]), Secret("fingerprint key"))
    fingerprint = VAULT.fingerprint(VAULT.open(_sealed(Keyring([FIRST]), *texts)))
    assert moved.fingerprint(moved.open(_sealed(Keyring([SECOND]), *texts))) == fingerprint
    assert FernetVault(Keyring([FIRST]), Secret("x")).fingerprint(these) != fingerprint
    assert len(fingerprint) == 64


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("hunter2", "key 1 is not a Fernet key"),
        (f"{FIRST.reveal()},hunter2", "key 2 is not a Fernet key"),
        (f"{FIRST.reveal()} {FIRST.reveal()}", "names the same key twice"),
        ("é" * 44, "key 1 is not a Fernet key"),
        ("pbkdf2:hunter2", "key 1 lacks its salt or its passphrase"),
        ("pbkdf2::hunter2", "key 1 lacks its salt or its passphrase"),
        ("pbkdf2:hunter2:", "key 1 lacks its salt or its passphrase"),
    ],
    ids=count(),  # the same in each run
)
def test_a_keyring_that_cannot_be_used_says_which_key_and_repeats_none(
    text: str, complaint: str
) -> None:
    with pytest.raises(BadEncryptionKey) as caught:
        Keyring(parse_keys(text))
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert FIRST.reveal() not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("between", [",", " ", "\n", ", ", "\r\n"])
def test_several_keys_may_be_separated_by_commas_or_blanks(between: str) -> None:
    keys = parse_keys(f"{between}{FIRST.reveal()}{between}{SECOND.reveal()}{between}")
    assert keys == [FIRST, SECOND]


def test_nothing_secret_prints_or_is_pickled() -> None:
    ring, secret = Keyring([FIRST]), Secret("hunter2")
    these = Credentials(secret, secret, secret)
    sealed = _sealed(ring, "k", "s", "p")
    shown = [repr(x) + str(x) + f"{x}" for x in (ring, VAULT, secret, these, sealed, [secret])]
    assert "hunter2" not in "".join(shown)
    assert FIRST.reveal() not in "".join(shown)
    assert "gAAAA" not in "".join(shown)
    with pytest.raises(TypeError):
        pickle.dumps(these)


@settings(deadline=None)
@given(st.text(min_size=1))
def test_at_most_half_of_an_api_key_is_shown(text: str) -> None:
    shown = ends(Secret(text))
    assert len(shown.replace("…", "")) <= len(text) / 2 or "…" in text
    assert "…" in shown


def test_a_long_api_key_is_known_by_its_ends_and_a_short_one_by_nothing() -> None:
    assert ends(Secret("abcd" + "0" * 24 + "wxyz")) == "abcd…wxyz"
    assert ends(Secret("x" * 15)) == "…"


def test_a_null_is_no_ciphertext() -> None:
    with pytest.raises(Undecryptable):
        Keyring([new_key()]).unseal(None)  # type: ignore[arg-type]
