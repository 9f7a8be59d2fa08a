"""`history`: what was tried and what came of it, as a log whose last lines answer questions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import Annotated, Any

import anyio
import typer

from daemon.cli.exits import Trouble
from daemon.cli.output import Json, Row, document, say, short, table, without_same
from daemon.cli.parts import command_app
from daemon.cli.reach import ForDatabase, database, settings
from daemon.clock import SystemClock
from daemon.store.history import AttemptRow, Event, Excerpt, History, Totals
from daemon.store.traces import Traces
from daemon.words import length, relative, sentence, span
from reconciler.model import Instant, Phase
from reconciler.records import REASONS

app = command_app()
_HEADINGS = ("When (UTC)", "Key", "Bridge", "Slot", "What", "Why")
_VERDICTS = ("done", *(verdict.name for verdict in REASONS))
_NAMED = ", ".join(_VERDICTS)
_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Told:
    """What is printed: the newest *events*, and what all of the excerpt amounts to."""

    excerpt: Excerpt
    events: Sequence[Event]
    totals: Totals

    @property
    def left_out(self) -> int:
        """Count the events that are older than the oldest shown."""
        moves = 0 if self.excerpt.verdict else self.totals.moves
        return max(self.totals.attempts + moves - len(self.events), 0)


@app.command()
def history(
    of: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY|CLIENT|SLOT",
            help="A key's id or its first 8 characters, a client's name or id, or a slot as"
            " ACCOUNT/CONNECTOR; what is gone is known as long as its history is kept."
            " Without it: everything.",
        ),
    ] = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="No longer ago than this: 90s, 30min, 2h, 3d, 1w. Of everything: 1d.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many lines.")] = 50,
    bridge: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what happened on this bridge.")
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(metavar="VERDICT", help=f"Only attempts that ended so: {_NAMED}."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what was tried, what came of it and why; the newest last, then what it amounts to.

    It is kept for BRIDGETENDER_HISTORY_DAYS, also of keys that are gone. Proofs that found all as
    it was are not part of it. Times are UTC.
    """
    now = SystemClock().now()
    wanted = Excerpt(bridge=bridge, since=_since(of, since, now), verdict=_verdict(verdict))
    told = anyio.run(_ask, settings(ForDatabase), of, wanted, limit)
    if json:
        document(_as_document(of, told))
    else:
        _print(told, now)


def _since(of: str | None, since: str | None, now: Instant) -> Instant | None:
    if since is None:
        return now - _A_DAY if of is None else None
    try:
        return now - length(since)
    except ValueError as error:
        raise Trouble(f"--since: {error}") from None


def _verdict(said: str | None) -> str | None:
    if said is None or said in _VERDICTS:
        return said
    raise Trouble(f"--verdict: {said!r} is none of {_NAMED}")


async def _ask(wanted: ForDatabase, of: str | None, excerpt: Excerpt, limit: int) -> Told:
    async with database(wanted.database_url) as engine:
        if of is not None:
            found = await Traces(engine).find(of)
            excerpt = replace(
                found,
                bridge=excerpt.bridge or found.bridge,
                since=excerpt.since,
                verdict=excerpt.verdict,
            )
        told = History(engine)
        return Told(excerpt, await told.events(excerpt, limit), await told.totals(excerpt))


# -- for people ------------------------------------------------------------------------------


def _print(told: Told, now: Instant) -> None:
    headings: Row = _HEADINGS
    rows: Sequence[Row] = list(_rows(told.events))
    for same in ("Key", "Bridge", "Slot") if rows else ():
        headings, rows = without_same(same, headings, rows)
    if rows:
        table(headings, rows)
    for line in _summary(told, now):
        say(line)


def _rows(events: Sequence[Event]) -> Iterator[Row]:
    """Yield a row for each; what an attempt was told is not said again of where it led."""
    heard: dict[str, str] = {}
    for event in events:
        slot = f"{event.account}/{event.connector}"
        again = event.message == heard.get(f"{event.bridge}/{slot}")
        heard[f"{event.bridge}/{slot}"] = event.message
        yield (
            event.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            *(short(event.key_id), event.bridge, slot),
            *(_what(event), _why(event, "" if again else event.message)),
        )


def _what(event: Event) -> str:
    if isinstance(event, AttemptRow):
        return f"{event.action}: {event.verdict}"
    return f"{event.from_phase or 'nothing'} -> {event.to_phase}"


def _why(event: Event, message: str) -> str:
    if isinstance(event, AttemptRow):
        took = f"after {event.seconds:.1f} s"
        if event.message:
            return f"{event.message} ({took})"
        return f"{took}, as {sentence(event.cause)}" if event.action == "initialize" else took
    if event.from_phase == event.to_phase == Phase.LIVE:
        return f"anew, as {sentence(event.cause)}"
    return sentence(event.to_reason, message)


def _summary(told: Told, now: Instant) -> Iterator[str]:
    if told.left_out:
        yield f"{told.left_out} older line(s) are left out: see --limit and --since."
    since = told.excerpt.since
    within = f"In the last {span(now - since)}" if since else "In all that is kept"
    yield f"{within}: {_attempts(told.totals)}."
    if told.excerpt.verdict is None:
        yield f"{_lives(told.totals, now)} {_standing(told.totals, now)}"


def _attempts(totals: Totals) -> str:
    words = f"{totals.attempts} attempt(s), {totals.done} done"
    if totals.failed:
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in totals.failed.items())
        words += f", {totals.attempts - totals.done} failed ({verdicts})"
    return words


def _lives(totals: Totals, now: Instant) -> str:
    words = f"Went live {totals.went_live} time(s)"
    if not totals.left_live:
        return f"{words}."
    why = ", ".join(f"{sentence(reason)} ({count})" for reason, count in totals.left_live.items())
    count, last = sum(totals.left_live.values()), relative(totals.last_left_live, now)
    return f"{words}; ceased to be {count} time(s), last {last}: {why}."


def _standing(totals: Totals, now: Instant) -> str:
    if totals.slots == 0:
        return "Nothing of it is on a bridge now."
    if totals.slots > 1:
        return f"Now {totals.live} of {totals.slots} slots are live."
    if totals.live:
        since = relative(totals.live_since, now).removesuffix(" ago")
        words = f"Live now, for {since}" if since else "Live now"
        proof = relative(totals.last_proof, now)
        return f"{words}; last proven {proof}." if proof else f"{words}; never proven."
    last = relative(totals.last_left_live, now)
    return f"Not live now; it last was {last}." if last else "Not live now."


# -- for machines ----------------------------------------------------------------------------


def _as_document(of: str | None, told: Told) -> dict[str, Any]:
    return {
        "of": of,
        "since": told.excerpt.since,
        "events": [_in_words(event) for event in told.events],
        "left_out": told.left_out,
        "totals": told.totals,
    }


def _in_words(event: Event) -> dict[str, Any]:
    kind = "attempt" if isinstance(event, AttemptRow) else "transition"
    values = {name: getattr(event, name) for name in type(event).__slots__}
    return {"kind": kind} | values | {"words": f"{_what(event)}: {_why(event, event.message)}"}
