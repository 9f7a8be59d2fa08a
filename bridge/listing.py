"""Answers a listing: from a cache, as 304 when nothing changed, compressed only when asked."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
import msgspec
from fastapi import Request, Response

_WORTH_COMPRESSING = 1024
_KEPT = 8
# Taken on the event loop, where nothing changes meanwhile; what it returns runs in a thread.
Snapshot = Callable[[], Callable[[], Any]]


@dataclass(slots=True)
class Listings:
    """The last rendering of each listing, by its name and encoding, with the version it shows."""

    _rendered: dict[tuple[str, bool], tuple[str, bytes]] = field(default_factory=dict)

    async def answer(
        self, request: Request, name: str, version: str, snapshot: Snapshot
    ) -> Response:
        """Return 304 or the JSON of *snapshot*; *version* is what its ETag stands for."""
        packed = _unpacks(request.headers.get("accept-encoding", ""))
        tag = f'"{version}{"-gz" if packed else ""}"'
        headers = {"ETag": tag, "Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
        if _matches(request.headers.get("if-none-match", ""), version):
            return Response(status_code=304, headers=headers)
        body = await self._body(name, version, snapshot, packed=packed)
        if body[:2] == b"\x1f\x8b":
            headers["Content-Encoding"] = "gzip"
        return Response(body, media_type="application/json", headers=headers)

    async def _body(self, name: str, version: str, snapshot: Snapshot, *, packed: bool) -> bytes:
        cached, body = self._rendered.get((name, packed), ("", b""))
        if cached != version:
            # A hundred thousand connectors take half a second to write: not on the event loop.
            body = await anyio.to_thread.run_sync(_written, snapshot(), packed)
            if len(self._rendered) >= _KEPT:
                self._rendered.clear()  # pages: each has a name of its own, and nobody reads twice
            self._rendered[name, packed] = version, body
        return body


def _written(render: Callable[[], Any], packed: bool) -> bytes:  # noqa: FBT001 - run_sync's way
    body = msgspec.json.encode(render())
    return gzip.compress(body, 1) if packed and len(body) >= _WORTH_COMPRESSING else body


def _unpacks(accept_encoding: str) -> bool:
    wanted = [each.replace(" ", "") for each in accept_encoding.lower().split(",")]
    return any(
        w == "gzip" or (w.startswith("gzip;q=") and w.strip("0.") != "gzip;q=") for w in wanted
    )


def _matches(if_none_match: str, version: str) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(",")}
    return not tags.isdisjoint({"*", version, f"{version}-gz"})
