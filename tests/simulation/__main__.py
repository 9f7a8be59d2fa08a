"""The real loop in a simulated world, by seeds: `make simulate SEEDS=2000`, or SEED=1234 for one.

A seed draws a kind of day (`profiles`), a firm and its people (`stage`), and whatever happens
(`events`). Every `Loop` of every replica runs on a virtual clock (`chance`), behind a network that
loses, delays, repeats and reorders (`network`); replicas crash, freeze and stop (`replicas`,
`freezing`). Then faults end, and what must hold is held against what is (`properties`, `truth`,
`bounds`). `simulation` is the play itself.

Prints each failing seed, what does not hold, and how to replay it; exits with 1 if there is one.
The last line is a JSON object, always.
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Iterable, Iterator
from multiprocessing import get_context

from tests.simulation.simulation import Result, simulate

_AT_ONCE = 8
"""Seeds that a process is handed together."""


def main() -> int:
    asked = _arguments()
    seeds = (
        [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.seeds)
    )
    results = map(simulate, seeds) if len(seeds) == 1 else _spread(seeds)
    ran, seconds, failures = 0, 0.0, 0
    try:
        for result in results:
            ran, seconds = ran + 1, seconds + result.seconds
            failures += bool(result.violations)
            _tell(result, traced=asked.seed is not None)
    finally:
        told = {"seeds": ran, "simulated_hours": round(seconds / 3600), "failures": failures}
        sys.stdout.write(json.dumps(told) + "\n")
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, and tell all that happens")
    return parser.parse_args()


def _spread(seeds: Iterable[int]) -> Iterator[Result]:
    """Simulate over all processors; the order of the results is that of the seeds."""
    with get_context("fork").Pool(os.cpu_count(), gc.freeze) as pool:
        yield from pool.imap(_untraced, seeds, _AT_ONCE)


def _untraced(seed: int) -> Result:
    """Leave out the trace, which is long and made again by a replay."""
    return simulate(seed).without_trace()


def _tell(result: Result, *, traced: bool) -> None:
    if traced:
        sys.stdout.writelines(f"{line}\n" for line in result.trace)
        sys.stdout.write(f"trace {result.digest}\n")
    if result.violations:
        sys.stdout.write(f"seed {result.seed} ({result.profile}) failed\n")
        sys.stdout.writelines(f"  {violation}\n" for violation in result.violations)
        sys.stdout.write(f"  replay: make simulate SEED={result.seed}\n")


if __name__ == "__main__":
    sys.exit(main())
