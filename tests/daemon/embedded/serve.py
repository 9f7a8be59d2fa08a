"""A parent to be killed: serve the directory it is given and say so, then wait for the end.

Its lines are `url pid`, or `refused: words`.
"""

import signal
import sys
from pathlib import Path

import anyio

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.postgres import embedded_postgres


async def main(directory: Path) -> None:
    try:
        async with embedded_postgres(directory) as server:
            sys.stdout.write(f"{server.url()} {server.pid}\n")
            sys.stdout.flush()
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    break
    except EmbeddedError as error:
        sys.stdout.write(f"refused: {error}\n")


anyio.run(main, Path(sys.argv[1]), backend_options={"use_uvloop": True})
