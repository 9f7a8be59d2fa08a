"""Reads and writes ciphertexts: Fernet with several keys, and fingerprints of what they hide."""

import hashlib
import hmac
import re
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from reconciler.model import Credentials, SealedKey, Secret
from reconciler.verdicts import Undecryptable

_END = 4
"""Characters shown of each end of an API key; of one with fewer than four times as many, none."""


class BadEncryptionKey(ValueError):
    """ENCRYPTION_KEY is not usable. The message never repeats it."""


class Keyring:
    """Fernet keys: the first encrypts, all decrypt. Raises BadEncryptionKey."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        if not keys:
            raise BadEncryptionKey("ENCRYPTION_KEY is empty; make one with: bridgetender new-key")
        if len(set(keys)) < len(keys):
            raise BadEncryptionKey("ENCRYPTION_KEY names the same key twice; name each once")
        self._fernet = MultiFernet([_fernet(key, place) for place, key in enumerate(keys, 1)])

    def seal(self, plain: Secret) -> str:
        return self._fernet.encrypt(plain.reveal().encode()).decode()

    def unseal(self, token: str, what: str = "the ciphertext") -> Secret:
        """Return the plaintext. Raises Undecryptable, which names *what* could not be read."""
        try:
            return Secret(self._fernet.decrypt(token).decode())
        except (InvalidToken, ValueError, TypeError):  # a NULL, too, is no ciphertext
            raise Undecryptable(f"no key of the keyring reads {what}") from None


class FernetVault:
    """A `reconciler.ports.Vault`. *fingerprint_key* is a key of its own, kept in our schema."""

    def __init__(self, keyring: Keyring, fingerprint_key: Secret) -> None:
        self._keyring = keyring
        self._fingerprint_key = fingerprint_key.reveal().encode()

    def use(self, keyring: Keyring) -> None:
        """Read with *keyring* from now on; the fingerprints stay what they are."""
        self._keyring = keyring

    def open(self, sealed: SealedKey) -> Credentials:
        passphrase = sealed.passphrase and self._keyring.unseal(sealed.passphrase, "passphrase")
        return Credentials(
            self._keyring.unseal(sealed.api_key, "api_key"),
            self._keyring.unseal(sealed.api_secret, "api_secret"),
            passphrase or None,
        )

    def fingerprint(self, credentials: Credentials) -> str:
        """HMAC-SHA-256 over the plaintexts, each with its length before it, in hex."""
        mac = hmac.new(self._fingerprint_key, digestmod=hashlib.sha256)
        for secret in (credentials.api_key, credentials.api_secret, credentials.passphrase):
            plain = b"" if secret is None else secret.reveal().encode()
            mac.update(len(plain).to_bytes(8, "big") + plain)
        return mac.hexdigest()


def parse_keys(text: str) -> list[Secret]:
    """Return the keys of ENCRYPTION_KEY: one, or several with commas or blanks between them."""
    return [Secret(word) for word in re.split(r"[\s,]+", text.strip()) if word]


def new_key() -> Secret:
    return Secret(Fernet.generate_key().decode())


def ends(secret: Secret) -> str:
    """Return enough of an API key to recognize it by: its ends, and nothing of a short one.

    >>> ends(Secret("abcd" + "0" * 56 + "wxyz"))
    'abcd…wxyz'
    """
    text = secret.reveal()
    return f"{text[:_END]}…{text[-_END:]}" if len(text) >= 4 * _END else "…"


def _fernet(key: Secret, place: int) -> Fernet:
    try:
        return Fernet(key.reveal())
    except (ValueError, TypeError):
        raise BadEncryptionKey(
            f"ENCRYPTION_KEY: key {place} is not a Fernet key (32 bytes in URL-safe base64, 44"
            " characters); make one with: bridgetender new-key"
        ) from None
