"""Settings from the environment -> one daemon that runs until it is told to stop."""

import os
import sys
from collections.abc import Iterator

import anyio

from daemon import logs, supervise
from daemon.bridges.line import BadBridgeUrl
from daemon.settings import BadSettings, from_environment
from daemon.web.server import AddressInUse
from reconciler.verdicts import StoreError

BAD_SETTINGS = 2
"""The exit code for settings that cannot work."""


def main() -> int:
    mistakes: list[BaseException] = []
    try:
        settings = from_environment(os.environ)
        logs.configure(json=settings.log_json, level=settings.log_level)
        anyio.run(supervise.run, settings, backend_options={"use_uvloop": True})
    except* (BadSettings, BadBridgeUrl, AddressInUse, StoreError) as group:
        mistakes = list(_leaves(group))
    for mistake in mistakes:
        sys.stderr.write(f"bridgetender: {mistake}\n")
    return BAD_SETTINGS if mistakes else 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


if __name__ == "__main__":
    sys.exit(main())
