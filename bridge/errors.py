"""The ways in which a request can fail, as a client reads them."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

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


class Kind(NamedTuple):
    """`status` unless something more exact is known; `title` and `cure` are for people."""

    status: int
    title: str
    cure: str


KINDS: Mapping[Code, Kind] = {
    "refused": Kind(
        422,
        "The exchange refuses these credentials",
        "Correct the key, its rights or its list of addresses; the same request fails again.",
    ),
    "throttled": Kind(
        429,
        "The exchange asks for patience",
        "Wait `retry_after` seconds; other accounts may have to, too.",
    ),
    "unavailable": Kind(
        503,
        "The exchange could not be asked",
        "Ask again later; the key is not to blame.",
    ),
    "unsupported": Kind(
        400,
        "The bridge cannot do this, whatever the credentials",
        "Choose an exchange that `/connectors/supported` lists.",
    ),
    "malformed": Kind(
        422,
        "The request or the credentials have the wrong form",
        "Correct the fields that `detail` names; the same request fails again.",
    ),
    "not_found": Kind(404, "There is no such thing here", "Add the account or connector first."),
    "conflict": Kind(
        409,
        "Something else is in that place",
        "Read the listing; another connector than you meant is there.",
    ),
    "unclear": Kind(
        502,
        "The exchange gave an answer that makes no sense",
        "Ask again later; nothing is known about the key or its balances.",
    ),
}
CODES: tuple[Code, ...] = get_args(Code)
STATUSES: Mapping[Code, int] = {code: kind.status for code, kind in KINDS.items()}


class Trouble(Exception):
    """A failure that a client may read: its words hold no secret.

    `retry_after` is in seconds, None when nobody said.
    """

    def __init__(self, code: Code, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.code: Code = code
        self.detail = detail
        self.retry_after = retry_after
