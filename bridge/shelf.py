"""All templates: made when an exchange is first named, kept fresh as long as the process lives."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from bridge.credentials import Offered
from bridge.loader import Loader
from bridge.pacer import Watch
from bridge.session import Outward, Ways
from bridge.template import Manner, Template

_TICK_S = 15.0


class Shelf:
    """`get` makes a template at first use; `keep_fresh` loads its markets anew when that is due."""

    def __init__(
        self,
        ways: Ways | Outward,
        *,
        timeout_s: float = 10.0,
        refresh_s: float = 3600.0,
        paced: bool | None = None,
        watch: Watch | None = None,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._ways = ways
        self._loader = Loader()
        # A stand-in has no limits to respect; a real exchange bans those who ignore them.
        paced = ways.origin is None if paced is None else paced
        self._manner = Manner(timeout_s, refresh_s, paced, watch, now, draw)
        self._templates: dict[str, Template] = {}

    def __iter__(self) -> Iterator[Template]:
        return iter(list(self._templates.values()))

    def get(self, name: str) -> Template:
        """Return the template for a canonical *name*; raises `Trouble` unsupported."""
        if name not in self._templates:
            outward = self._ways.to(name)
            self._templates[name] = Template(name, outward, self._loader, self._manner)
        return self._templates[name]

    def make(self, name: str, offered: Offered, account: str | None = None) -> Any:
        """Return *account*'s ccxt object. Raises `Trouble` unsupported or malformed."""
        return self.get(name).make(offered, self._ways.to(name, account))

    def refresh(self) -> None:
        """Begin to load what is due of what has been loaded before."""
        for template in self:
            if template.loaded_at is not None:
                template.warm()

    async def keep_fresh(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self.refresh()

    async def close(self) -> None:
        await asyncio.gather(*(template.close() for template in self))
        await self._loader.close()
