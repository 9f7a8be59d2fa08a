"""How a pretend exchange can misbehave on command."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, cast, get_args

from anyio import move_on_after
from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bridge.paper.wire import Said

Kind = Literal[
    "html",
    "empty",
    "truncated",
    "null",
    "object",
    "shape",
    "status",
    "redirect",
    "throttle",
    "ban",
    "geography",
    "proxy",
    "hang",
    "slow",
    "reset",
    "cut",
    "giant",
    "refuse_ip",
    "expire",
    "clock",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_LATE: tuple[Kind, ...] = ("hang", "slow", "reset", "cut")  # what they do is no matter of words
_ELSEWHERE = {"Location": "/elsewhere"}  # who follows is heard a second time
_PAGE = "<html><head><title>Just a moment...</title></head><body>Checking</body></html>"
_PROXY = "<html><body><h1>Access denied</h1>The proxy wants a login.</body></html>"
_PLACE = '{"code":0,"msg":"Service unavailable from a restricted location"}'
_CHUNK = b" " * 65_536


@dataclass(slots=True)
class Fault:
    """Misbehave as *kind* on requests of one class ("" for all), *times* times (None: always).

    `status` and `body` belong to "status", `status` also to "redirect" and "proxy"; `retry_after`
    (seconds or a date) to "throttle" and "ban"; `seconds` to "slow".
    "reset" hangs up without an answer, "cut" in the middle of one; "giant" never ends.
    """

    kind: Kind
    only: str = ""
    times: int | None = None
    status: int = 0
    body: str = ""
    retry_after: str = "7"
    seconds: float = 1.0


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
    """Return what *fault* makes of the *honest* answer; see `strike` for the rest."""
    if fault.kind == "giant":
        return StreamingResponse(_endless(), media_type="application/json")
    whole = json.dumps(honest.payload)
    busy = json.dumps(exchange.BUSY), {"Retry-After": fault.retry_after}
    page = {"Content-Type": "text/html"}
    made: dict[Kind, tuple[str, int, dict[str, str]]] = {
        **dict.fromkeys(_LATE, (whole, honest.status, {})),
        "html": (_PAGE, 200, page),
        "empty": ("", 200, {}),
        "truncated": (whole[: len(whole) // 2], 200, {}),
        "null": ("null", 200, {}),
        "object": ("{}", 200, {}),
        "shape": (json.dumps(_hollow(honest.payload)), 200, {}),
        "status": (fault.body, fault.status or 503, _moved(fault.status)),
        "redirect": ("", fault.status or 302, _ELSEWHERE),
        "throttle": (busy[0], 429, busy[1]),
        "ban": (busy[0], 418, busy[1]),
        "geography": (_PLACE, 451, {}),
        "proxy": (_PROXY, fault.status or 407, page),
        "refuse_ip": (json.dumps(exchange.IP.payload), exchange.IP.status, {}),
        "expire": (json.dumps(exchange.EXPIRED.payload), exchange.EXPIRED.status, {}),
        "clock": (json.dumps(exchange.CLOCK.payload), exchange.CLOCK.status, {}),
    }
    body, status, headers = made[fault.kind]
    return Response(body, status, {"Content-Type": "application/json", **headers})


async def strike(fault: Fault, request: Request, answer: Response) -> Response:
    """Wait or hang up first, where *fault* says so, and return the *answer*."""
    if fault.kind == "hang":
        await _gone(request)
    elif fault.kind == "slow":
        with move_on_after(fault.seconds):
            await _gone(request)
    elif fault.kind == "reset":
        _transport(request).abort()
    elif fault.kind == "cut":
        return StreamingResponse(_broken(bytes(answer.body), request), answer.status_code)
    return answer


async def _gone(request: Request) -> None:
    """Wait until the other side gives up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _broken(whole: bytes, request: Request) -> AsyncIterator[bytes]:
    yield whole[: len(whole) // 2]
    _transport(request).close()
    await _gone(request)


def _transport(request: Request) -> asyncio.Transport:
    """Return the connection itself, which ASGI hides and uvicorn keeps beside `receive`."""
    cycle: Any = request.receive
    return cast("asyncio.Transport", cycle.__self__.transport)


def _moved(status: int) -> dict[str, str]:
    return _ELSEWHERE if 300 <= status < 400 else {}


def _hollow(payload: object) -> object:
    """Return a success without what it should hold: its lists and objects are gone."""
    if not isinstance(payload, dict):
        return {"success": True}
    return {k: v for k, v in payload.items() if k == "error" or not isinstance(v, dict | list)}


async def _endless() -> AsyncIterator[bytes]:
    yield b'{"data":"'
    while True:
        await checkpoint()  # uvicorn takes all at once from one whom nobody hears any more
        yield _CHUNK
