"""An aiohttp response that gives up on a body which is too long, packed or not."""

from collections.abc import AsyncIterator

import aiohttp
from ccxt.base.errors import BadResponse

LARGEST = 64 * 1024 * 1024  # bytes unpacked; the longest list of markets has some fifteen million


class Bounded(aiohttp.ClientResponse):
    """Raises BadResponse from `read`, and so from `text`, instead of filling the memory."""

    async def read(self) -> bytes:
        if self._body is None:
            try:
                self._body = b"".join([piece async for piece in self._pieces()])
            except BaseException:
                self.close()
                raise
        return self._body

    async def _pieces(self) -> AsyncIterator[bytes]:
        left = LARGEST
        async for piece in self.content.iter_any():
            left -= len(piece)
            if left < 0:
                raise BadResponse(f"answered with more than {LARGEST // 1024} KiB")
            yield piece
