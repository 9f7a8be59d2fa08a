"""Nothing is sent once the lease has ended: asked before every request, however deep below."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_check: ContextVar[Callable[[], None] | None] = ContextVar("fence", default=None)


@contextmanager
def fenced(check: Callable[[], None]) -> Iterator[None]:
    """Let *check* raise LeaseLost before each request that is made within."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def pass_fence() -> None:
    """Raise LeaseLost if what is about to be sent may no longer be sent."""
    check = _check.get()
    if check is not None:
        check()
