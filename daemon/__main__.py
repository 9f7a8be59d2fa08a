"""Settings -> one daemon that runs until it is told to stop."""

import os
import resource
import shlex
import signal
import sys
from collections.abc import Sequence

import anyio
import structlog

from daemon import collector, logs, supervise
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.supplies import supplied
from daemon.groups import leaves
from daemon.settings import BadSettings, Settings, open_files, read, unknown
from daemon.web.server import AddressInUse
from reconciler.verdicts import StoreError

BAD_SETTINGS = 2
"""The exit code for settings that cannot work."""


log = structlog.get_logger()


def main() -> int:
    mistakes: list[BaseException] = []
    # Until somebody heeds them: a reload is of no use yet, and a stop takes along what has started.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold keys and tokens
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        settings = read(os.environ, Settings)
        logs.configure(json=settings.log_json, level=settings.log_level)
        for name in unknown(os.environ):
            log.warning("unknown_setting", name=name)
        for path in open_files(os.environ):
            cure = f"chmod 600 {path} (in Kubernetes defaultMode 0440)"
            log.warning("secret_file_open_to_all", file=str(path), run=cure)
        anyio.run(_run, settings, backend_options={"use_uvloop": True})
    except* (BadSettings, AddressInUse, StoreError, EmbeddedError) as group:
        mistakes = list(leaves(group))
    except* KeyboardInterrupt:
        log.info("stopped")
    for mistake in mistakes:
        for line in str(mistake).splitlines():
            sys.stderr.write(f"bridgetender: {line}\n")
    return BAD_SETTINGS if mistakes else 0


async def _run(settings: Settings) -> None:
    async with supplied(settings) as means:
        collector.spare()
        await supervise.run(means.settings, lambda: means.fill(read(os.environ, Settings)))


def _no_command(arguments: Sequence[str]) -> int:
    meant = shlex.join(["bridgetender", *arguments])
    sys.stderr.write(
        f"bridgetender: 'python -m daemon' is 'bridgetender run' and takes nothing: try '{meant}'\n"
    )
    return BAD_SETTINGS


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(_no_command(sys.argv[1:]))
    sys.exit(main())
