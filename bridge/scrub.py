"""Takes secrets out of words before anybody reads them."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

GONE = "***"
# What ccxt puts into its exception texts: signed URLs, signatures, whole request headers.
_QUERIES = re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']*")
_FIELDS = re.compile(
    r"(?i)((?:api[-_]?key|api[-_]?secret|secret|signature|sign|passphrase|password|memo|token"
    r"|authorization|ok-access-\w+|kc-api-\w+|x-bapi-\w+|x-mbx-apikey|api-sign)"
    r"[\"']?\s*[=:]\s*(?:bearer\s+|basic\s+)?)[\"']?[^\s\"',;&}\]]+[\"']?"
)
_PEM = re.compile(r"-----BEGIN[\s\S]*?(?:-----END[^-]*-----|$)")
# A long word without a digit is a name, not a key.
_OPAQUE = re.compile(r"(?=[A-Za-z+/=_-]*\d)[A-Za-z0-9+/=_-]{32,}")


def scrub(text: str, secrets: Iterable[str] = (), limit: int = 500) -> str:
    """Return *text* without *secrets*, signatures and signed URLs, cut to *limit* characters."""
    for disguise in _disguises(secrets):
        text = text.replace(disguise, GONE)
    text = _PEM.sub(GONE, text)
    text = _QUERIES.sub(rf"\1?{GONE}", text)
    text = _FIELDS.sub(rf"\1{GONE}", text)
    text = _OPAQUE.sub(GONE, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _disguises(secrets: Iterable[str]) -> list[str]:
    """Return every form in which a secret may turn up, the longest first."""
    found: set[str] = set()
    for secret in secrets:
        if len(secret) < 3:  # replacing one letter would garble the text and hide nothing
            continue
        encoded = base64.b64encode(secret.encode()).decode()
        found |= {secret, repr(secret)[1:-1], quote(secret, safe=""), quote_plus(secret), encoded}
    return sorted(found, key=len, reverse=True)
