"""The eight ways in which a request can fail, as a client reads them."""

from collections.abc import Mapping
from typing import Literal, get_args

Code = Literal[
    "refused",
    "throttled",
    "unavailable",
    "unsupported",
    "malformed",
    "not_found",
    "conflict",
    "unclear",
]
CODES: tuple[Code, ...] = get_args(Code)
STATUSES: Mapping[Code, int] = {
    "refused": 422,
    "malformed": 422,
    "unsupported": 400,
    "throttled": 429,
    "unavailable": 503,
    "unclear": 502,
    "not_found": 404,
    "conflict": 409,
}


class Trouble(Exception):
    """A failure that a client may read: its words hold no secret.

    `retry_after` is in seconds, None when nobody said.
    """

    def __init__(self, code: Code, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.code: Code = code
        self.detail = detail
        self.retry_after = retry_after
