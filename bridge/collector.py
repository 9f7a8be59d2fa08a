"""Python's collector of cycles, kept from looking at so much that every thread stands still."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_NEVER = 1_000_000_000


class Collector:
    """Python has one for the whole process, however many loaders there are."""

    def __init__(self) -> None:
        self._loads, self._often, self._turn = 0, 0, Lock()
        self._freezes = False  # to ask Python takes 20 ms: it counts all that is frozen

    def freeze(self) -> None:
        """Never look again at what there is, nor at what loads will leave: it stays for good."""
        gc.collect()
        gc.freeze()
        self._freezes = True

    def thaw(self) -> None:
        gc.unfreeze()
        self._freezes = False

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Keep it from looking through all objects while a load makes hundreds of thousands.

        Most are gone a second later; those that stay are frozen, where anything is. Young objects
        are looked through as always.
        """
        with self._turn:
            if not self._loads:
                self._begin()
            self._loads += 1
        try:
            yield
        finally:
            with self._turn:
                self._loads -= 1
                self._end()

    def _begin(self) -> None:
        if self._freezes:
            gc.collect()  # or garbage would be frozen in the end
        self._often = gc.get_threshold()[2]
        gc.set_threshold(*gc.get_threshold()[:2], _NEVER)

    def _end(self) -> None:
        if self._freezes:
            gc.collect(1)
            gc.freeze()
        if not self._loads:
            gc.set_threshold(*gc.get_threshold()[:2], self._often)


COLLECTOR = Collector()
