"""What credentials look like: mends what a clipboard does to them, and names what cannot be one.

No word of it quotes what was sent.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping

MEANINGS: Mapping[str, str] = {
    "apiKey": "the API key",
    "secret": "the API secret",
    "password": "the passphrase that was chosen when the key was made",
    "uid": "the user id",
    "accountId": "the account id",
    "walletAddress": "the wallet address",
    "privateKey": "the private key",
    "login": "the name or address that the account signs in with",
}
# Byte order mark, soft hyphen, zero-width characters, marks of direction: nobody sees them.
_UNSEEN = "\ufeff\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064"
_EDGES = _UNSEEN + "\x00 \t\n\r\x0b\x0c\x85\u00a0\u2007\u2028\u2029\u202f\u3000"
_HIDDEN = re.compile(f"[{_UNSEEN}\ud800-\udfff]")
_BROKEN = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]*)-----(.*?)-----END \1-----", re.DOTALL)


class Unfit(Exception):
    """What was sent cannot be a credential; the message goes on from its name."""


def cleaned(value: str, *, one_word: bool) -> str:
    """Return *value* without the blanks around it, and a PEM key with its lines restored.

    *one_word*: it has no blank inside, and is ASCII. Raises `Unfit`.
    """
    if "-----BEGIN" in value:
        return _mended(value)
    value = value.strip(_EDGES)
    if _HIDDEN.search(value):
        raise Unfit("has an invisible character inside: copy it again, or type it")
    if _BROKEN.search(value):
        raise Unfit("has a line break or control character inside: send it as one line")
    if one_word and not value.isascii():
        raise Unfit("has letters that no key has, some of which may only look Latin: copy it again")
    if one_word and " " in value:
        raise Unfit("has a blank inside: send it without")
    return value


def _mended(value: str) -> str:
    """Return a private key's PEM text in lines of 64, whatever became of its line breaks."""
    text = value.replace("\\r", "").replace("\\n", "\n").translate(dict.fromkeys(map(ord, _UNSEEN)))
    label, body = _private(text)
    if "ENCRYPTED" in label or "ENCRYPTED" in body:
        raise Unfit("is a PEM key locked with a passphrase: send it unlocked")
    packed = "".join(body.split())
    if not _is_whole(packed):
        raise Unfit("is a PEM key with a part lost or altered: copy all of it again")
    return _written(label, packed)


def _written(label: str, packed: str) -> str:
    lines = [packed[start : start + 64] for start in range(0, len(packed), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _private(text: str) -> tuple[str, str]:
    """Return the label and the body of the private key in *text*."""
    blocks = _PEM.findall(text)
    for label, body in blocks:
        if label.endswith("PRIVATE KEY"):
            return label, body
    if blocks:
        raise Unfit("is a PEM text without a private key: send the private key, not the public one")
    raise Unfit("is a PEM key whose END line is missing: copy all of it, from BEGIN to END")


def _is_whole(packed: str) -> bool:
    """Tell whether this is base64 of one DER sequence, by the length that it states."""
    der = _unpacked(packed)
    if len(der) < 2 or der[0] != 0x30:
        return False
    if der[1] < 0x80:
        return len(der) == 2 + der[1]
    size = der[1] & 0x7F
    return len(der) == 2 + size + int.from_bytes(der[2 : 2 + size])


def _unpacked(text: str) -> bytes:
    """Return what *text* is the base64 of, nothing if it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


Check = Callable[[str], bool]


def _like(pattern: str) -> Check:
    return lambda value: re.fullmatch(pattern, value) is not None


def _is_base64(value: str) -> bool:
    return bool(_unpacked(value))


def _is_seed(value: str) -> bool:
    return len(_unpacked(value)) >= 32


def _is_pem(value: str) -> bool:
    return value.startswith("-----BEGIN")


def _is_pem_or_seed(value: str) -> bool:
    """Coinbase International; the 43 characters are those of its secrets from Deribit."""
    return _is_pem(value) or len(value) == 43 or (value[-1] == "=" and _is_seed(value))


def _is_seed_if_it_looks_so(value: str) -> bool:
    """Coinbase: ccxt takes these two for an Ed25519 key, a PEM as such, all others for HMAC."""
    return _is_pem(value) or _is_seed(value) or not (value[-1] == "=" or len(value) == 88)


def _is_rsa_if_long(value: str) -> bool:
    """LBank: ccxt takes what is longer for an RSA key."""
    return len(value) <= 32 or _is_pem(value) or _is_whole(value)


_BASE64 = _is_base64, "is not base64: copy the whole secret that the exchange showed"
_ED25519 = _is_seed, "is not the base64 of an Ed25519 key: copy the whole secret"
_COINBASE = "is neither a PEM key nor the base64 of an Ed25519 key: copy the whole secret"
_BASE58 = "[1-9A-HJ-NP-Za-km-z]"
_ETHEREUM_KEY = _like("(0x)?[0-9a-fA-F]{64}"), "is not a private key of 64 hexadecimal digits"
_ETHEREUM_ADDRESS = _like("0x[0-9a-fA-F]{40}"), "is not a wallet address: 0x and 40 digits"
_WALLET = {"privateKey": _ETHEREUM_KEY, "walletAddress": _ETHEREUM_ADDRESS}
_STARK = "is not an address: 0x and up to 64 digits"
_ORDERLY = {
    "secret": (_like(f"(ed25519:)?{_BASE58}{{40,50}}"), "is not an Ed25519 key in base58"),
}
# Where a wrong form would fail inside ccxt, or travel to the exchange: a private key that was sent
# as the address would be published.
FORMS: Mapping[str, Mapping[str, tuple[Check, str]]] = {
    "aster": _WALLET,
    "backpack": {"secret": _ED25519},
    "btcmarkets": {"secret": _BASE64},
    "btcturk": {"secret": _BASE64},
    "coinbase": {"secret": (_is_seed_if_it_looks_so, _COINBASE)},
    "coinbaseexchange": {"secret": _BASE64},
    "coinbaseinternational": {"secret": (_is_pem_or_seed, _COINBASE)},
    "derive": _WALLET,
    "dydx": {"walletAddress": (_like("dydx1[02-9ac-hj-np-z]{38}"), "is not a dydx1 address")},
    "extended": {"privateKey": (_like("(0x)?[0-9a-fA-F]{1,64}"), "is not a hexadecimal key")},
    "gemini": {
        "apiKey": (
            lambda value: "account" in value,
            "is not an account's: a master key will not do",
        )
    },
    "grvt": _WALLET,
    "hibachi": {
        "privateKey": (_like("(0x)?[0-9a-fA-F]{64}|.{44}"), "is not a private key of 64 digits")
    },
    "hyperliquid": _WALLET,
    "kraken": {"secret": _BASE64},
    "krakenfutures": {"secret": _BASE64},
    "lbank": {"secret": (_is_rsa_if_long, "is not a whole RSA key: copy all of it again")},
    "lighter": _WALLET,
    "modetrade": _ORDERLY,
    "nado": _WALLET,
    "pacifica": {
        "privateKey": (_like(f"{_BASE58}{{80,90}}"), "is not a Solana private key in base58"),
        "walletAddress": (_like(f"{_BASE58}{{32,44}}"), "is not a Solana address in base58"),
    },
    "paradex": _WALLET | {"walletAddress": (_like("0x[0-9a-fA-F]{1,64}"), _STARK)},
    "polymarket": _WALLET,
    "revolutx": {"privateKey": (_is_pem, "is not a PEM key: send the private key's whole file")},
    "woofipro": _ORDERLY,
}


def wrong(exchange: str, name: str, value: str) -> str | None:
    """Return what is wrong with ccxt's credential *name* at *exchange*, None if nothing is."""
    check, words = FORMS.get(exchange, {}).get(name, (_is_pem, None))
    return None if words is None or check(value) else words


def options(exchange: str, filled: Mapping[str, str]) -> dict[str, str]:
    """Return the options that ccxt needs to sign with these."""
    secret = filled.get("secret", "")
    if exchange != "lbank" or len(secret) <= 32:
        return {}
    # ccxt 4.5.90 makes a PEM of it itself, but forgets the last line
    return {"pem": secret if _is_pem(secret) else _written("PRIVATE KEY", secret)}
