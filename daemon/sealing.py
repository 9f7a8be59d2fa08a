"""What a person entered, encrypted as it is stored."""

from daemon.entry import KeyEntry
from daemon.store.people import SealedEntry
from daemon.vault import Keyring


def sealed(entry: KeyEntry, keyring: Keyring) -> SealedEntry:
    """Return *entry* with its secrets encrypted."""
    return SealedEntry(
        entry.exchange,
        keyring.seal(entry.api_key),
        keyring.seal(entry.api_secret),
        keyring.seal(entry.passphrase) if entry.passphrase else None,
        entry.label,
        entry.is_testnet,
    )
