"""What an exchange hears and what it says, as plain data."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came over the wire: header names in lower case, *now_ms* since 1970.

    *address* is where it came from.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str
    now_ms: int
    address: str = "127.0.0.1"

    @property
    def target(self) -> str:
        """Path and query, byte for byte as signed."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def param(self, name: str) -> str:
        return parse_qs(self.query).get(name, [""])[0]

    def sent(self) -> dict[str, str]:
        """Read the fields, wherever they stand."""
        return {n: v[0] for n, v in (parse_qs(self.query) | parse_qs(self.body)).items()}

    def posted(self) -> dict[str, str]:
        """Read the fields of a form."""
        return {name: values[0] for name, values in parse_qs(self.body).items()}


@dataclass(frozen=True, slots=True)
class Said:
    payload: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def sha256_hex(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def sha256_base64(secret: str, text: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


def same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode())


def number(text: str) -> int:
    """Read what should be an integer; 0, which is never in time, when it is none."""
    return int(text) if text.isascii() and text.isdigit() else 0
