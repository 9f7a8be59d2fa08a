"""`make faults`: every fault that we know of, on real processes, and what it costs: nothing.

Real PostgreSQL, PgBouncer, bridge, paper exchange and daemons. In each trial people have keys, a
fault begins, people go about their business, the fault ends; once things have converged, or not,
the audit compares what people want with what the bridge really holds.
"""

import argparse
import json
import logging
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from time import monotonic

import anyio
import structlog

from daemon.embedded.stage import scratch
from tests.conftest import fast_place
from tests.faults import answer_faults, bridge_faults, daemon_faults, database_faults, input_faults
from tests.faults.fault import FAULTS, Fault
from tests.faults.runner import Result, tried
from tests.faults.scene import stand

KINDS = (bridge_faults, answer_faults, database_faults, daemon_faults, input_faults)
ROW = "{:<36} {:>5} {:>6} {:>5} {:>5} {:>6} {:>8}"
HEAD = ROW.format("fault", "tried", "keys", "lost", "wrong", "leaked", "seconds")


def main() -> None:
    asked = _parser().parse_args()
    if asked.list:
        print(*(f"{fault.name:<36} {fault.story}" for fault in FAULTS.values()), sep="\n")
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chosen = list(_chosen(asked.faults, quick=asked.quick, times=asked.times))
    sys.exit(anyio.run(_run, chosen, asked.seed, backend_options={"use_uvloop": True}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="by name; none: all of them")
    parser.add_argument("--list", action="store_true", help="tell what faults there are")
    parser.add_argument("--quick", action="store_true", help="the most telling ones, a few times")
    parser.add_argument("--times", type=int, help="how often each is tried")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of all that is left to chance"
    )
    return parser


def _chosen(names: Sequence[str], *, quick: bool, times: int | None) -> Iterator[tuple[Fault, int]]:
    unknown = set(names) - FAULTS.keys()
    if unknown:
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}; see --list")
    for fault in FAULTS.values():
        wanted = fault.name in names if names else fault.quick or not quick
        if wanted:
            yield fault, times or (fault.quick if quick else fault.times)


async def _run(chosen: Sequence[tuple[Fault, int]], seed: int) -> int:
    """Try all of them, unless somebody says stop; return the exit code."""
    code = 130
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_heed_signals, tasks.cancel_scope)
        code = int(not await _tabled(chosen, seed))
        tasks.cancel_scope.cancel()
    return code


async def _heed_signals(scope: anyio.CancelScope) -> None:
    """End in order, so that nothing is left behind."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def _tabled(chosen: Sequence[tuple[Fault, int]], seed: int) -> bool:
    """Print the table as it grows, and the totals; return whether nothing is amiss."""
    began, done = monotonic(), []
    with scratch(fast_place(), "bridgetender-faults-") as directory:
        print(f"seed {seed}\n{HEAD}", flush=True)
        async with stand(directory) as shared:
            for fault, times in chosen:
                done.append(await tried(shared, fault, times, seed))
                print(*_rows(done[-1]), sep="\n", flush=True)
    print(json.dumps(_totals(done, seed) | {"took_seconds": round(monotonic() - began, 1)}))
    return all(result.is_good for result in done)


def _rows(result: Result) -> Iterator[str]:
    if result.skipped:
        yield f"{result.name:<36} skipped: {result.skipped}"
        return
    counts = (result.tried, result.keys, result.lost, result.wrong, result.leaked)
    yield ROW.format(result.name, *counts, f"{result.seconds:.1f}")
    yield from (f"    {line}" for remark in result.remarks for line in remark.splitlines())


def _totals(done: Sequence[Result], seed: int) -> dict[str, object]:
    tried = [result for result in done if not result.skipped]
    counted = ("tried", "keys", "lost", "wrong", "leaked", "unsettled")
    return {
        "faults": len(tried),
        **{name: sum(getattr(result, name) for result in tried) for name in counted},
        "worst_seconds": round(max((result.seconds for result in tried), default=0.0), 1),
        "skipped": len(done) - len(tried),
        "seed": seed,
    }


if __name__ == "__main__":
    main()
