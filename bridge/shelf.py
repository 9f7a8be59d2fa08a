"""All templates: made when an exchange is first named, kept fresh as long as the process lives."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator

from bridge.loader import Loader
from bridge.pacer import Watch
from bridge.session import Outward
from bridge.template import Manner, Template

_TICK_S = 15.0


class Shelf:
    """`get` makes a template at first use; `keep_fresh` loads its markets anew when that is due."""

    def __init__(
        self,
        outward: Outward,
        *,
        timeout_s: float = 10.0,
        refresh_s: float = 3600.0,
        paced: bool | None = None,
        watch: Watch | None = None,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._outward = outward
        self._loader = Loader(outward)
        # A stand-in has no limits to respect; a real exchange bans those who ignore them.
        paced = outward.origin is None if paced is None else paced
        self._manner = Manner(timeout_s, refresh_s, paced, watch, now, draw)
        self._templates: dict[str, Template] = {}

    def __iter__(self) -> Iterator[Template]:
        return iter(list(self._templates.values()))

    def get(self, name: str) -> Template:
        """Return the template for a canonical *name*; raises `Trouble` unsupported."""
        if name not in self._templates:
            self._templates[name] = Template(name, self._outward, self._loader, self._manner)
        return self._templates[name]

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
