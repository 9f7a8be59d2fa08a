"""The vault's port: the fake of our decisions, and Fernet."""

from collections.abc import Callable

import pytest

from daemon.vault import FernetVault, Keyring, new_key
from reconciler.model import SealedKey, Secret
from reconciler.ports import Vault
from reconciler.verdicts import Undecryptable
from tests.fakes import FakeVault
from tests.reconciler.examples import KEY

Seal = Callable[[str, str], SealedKey]


def _fake() -> tuple[Vault, Seal, SealedKey]:
    def seal(api_key: str, salt: str) -> SealedKey:
        return SealedKey(KEY, f"sealed:{salt}:{api_key}", f"sealed:{salt}:secret of {api_key}")

    return FakeVault(), seal, SealedKey(KEY, "broken:0:k", "broken:0:s")


def _fernet() -> tuple[Vault, Seal, SealedKey]:
    keyring, stranger = Keyring([new_key()]), Keyring([new_key()])

    def sealed_by(ring: Keyring, api_key: str) -> SealedKey:
        return SealedKey(KEY, ring.seal(Secret(api_key)), ring.seal(Secret(f"secret of {api_key}")))

    vault = FernetVault(keyring, Secret("pepper"))
    return vault, lambda api_key, _: sealed_by(keyring, api_key), sealed_by(stranger, "k")


@pytest.fixture(params=[_fake, _fernet], ids=["fake", "fernet"])
def parts(request: pytest.FixtureRequest) -> tuple[Vault, Seal, SealedKey]:
    made: tuple[Vault, Seal, SealedKey] = request.param()
    return made


def test_what_was_sealed_is_opened(parts: tuple[Vault, Seal, SealedKey]) -> None:
    vault, seal, _ = parts
    opened = vault.open(seal("the-key", "1"))
    assert opened.api_key == Secret("the-key")
    assert opened.api_secret == Secret("secret of the-key")
    assert opened.passphrase is None


def test_a_row_that_no_key_reads_says_so(parts: tuple[Vault, Seal, SealedKey]) -> None:
    vault, _, unreadable = parts
    with pytest.raises(Undecryptable, match="no key of"):
        vault.open(unreadable)


def test_fingerprints_tell_credentials_apart_and_not_ciphertexts(
    parts: tuple[Vault, Seal, SealedKey],
) -> None:
    vault, seal, _ = parts
    one, again, other = seal("one", "1"), seal("one", "2"), seal("other", "1")
    assert one != again
    prints = [vault.fingerprint(vault.open(each)) for each in (one, again, other)]
    assert prints[0] == prints[1] != prints[2]
