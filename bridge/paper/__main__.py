"""`python -m bridge.paper`: the pretend exchanges as a process."""

import argparse

from bridge.logs import configure
from bridge.paper.app import create_paper
from bridge.paper.markets import FIRST
from bridge.serve import bind, run


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser("python -m bridge.paper", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8701, help="0: any free one")
    parser.add_argument(
        "--markets", type=int, default=len(FIRST), metavar="N", help="on every exchange"
    )
    asked = parser.parse_args(arguments)
    configure()
    run(create_paper(asked.markets), *bind(asked.host, asked.port), grace_s=0)


if __name__ == "__main__":
    main()
