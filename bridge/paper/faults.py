"""How a pretend exchange can misbehave on command."""

import json
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal, get_args

from starlette.responses import Response

from bridge.paper.wire import Said

Kind = Literal[
    "html",
    "empty",
    "truncated",
    "null",
    "object",
    "status",
    "throttle",
    "ban",
    "hang",
    "refuse_ip",
    "clock",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_ELSEWHERE = {"Location": "/elsewhere"}  # who follows is heard a second time
_PAGE = "<html><head><title>Just a moment...</title></head><body>Checking</body></html>"


@dataclass(slots=True)
class Fault:
    """Misbehave as *kind* on requests of one class ("" for all), *times* times (None: always).

    `status` and `body` belong to kind "status", `retry_after` (seconds) to "throttle" and "ban".
    """

    kind: Kind
    only: str = ""
    times: int | None = None
    status: int = 503
    body: str = ""
    retry_after: str = "7"


@dataclass(slots=True)
class Faults:
    """At most one fault per exchange."""

    _current: dict[str, Fault] = field(default_factory=dict)

    def put(self, exchange: str, fault: Fault) -> None:
        self._current[exchange] = fault

    def clear(self, exchange: str | None = None) -> None:
        if exchange is None:
            self._current.clear()
        else:
            self._current.pop(exchange, None)

    def take(self, exchange: str, classed: str) -> Fault | None:
        """Return the fault that strikes this request, counting it."""
        fault = self._current.get(exchange)
        if fault is None or fault.only not in ("", classed):
            return None
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.clear(exchange)
        return fault


def spoiled(fault: Fault, exchange: ModuleType, honest: Said) -> Response:
    """Return what *fault* makes of the *honest* answer; every kind but "hang"."""
    whole = json.dumps(honest.payload)
    busy = json.dumps(exchange.BUSY), {"Retry-After": fault.retry_after}
    made: dict[Kind, tuple[str, int, dict[str, str]]] = {
        "html": (_PAGE, 200, {"Content-Type": "text/html"}),
        "empty": ("", 200, {}),
        "truncated": (whole[: len(whole) // 2], 200, {}),
        "null": ("null", 200, {}),
        "object": ("{}", 200, {}),
        "status": (fault.body, fault.status, _ELSEWHERE if 300 <= fault.status < 400 else {}),
        "throttle": (busy[0], 429, busy[1]),
        "ban": (busy[0], 418, busy[1]),
        "refuse_ip": (json.dumps(exchange.IP.payload), exchange.IP.status, {}),
        "clock": (json.dumps(exchange.CLOCK.payload), exchange.CLOCK.status, {}),
    }
    body, status, headers = made[fault.kind]
    return Response(body, status, {"Content-Type": "application/json", **headers})
