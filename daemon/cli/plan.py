"""`plan`: what the daemon would do next. Asks database and bridge, and changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import anyio
import typer

from daemon.cli.exits import Code
from daemon.cli.line import bridge
from daemon.cli.output import Json, document, say, short, table, warn, without_same
from daemon.cli.parts import command_app
from daemon.cli.pauses import described
from daemon.cli.reach import ForBridge, database, settings
from daemon.clock import SystemClock
from daemon.settings import routes_of
from daemon.store.pauses import Pause, Pauses
from daemon.store.people import People
from daemon.store.preview import preview
from daemon.store.routes import routes_in_force
from daemon.words import relative, sentence
from reconciler.decide import decide
from reconciler.model import (
    Absence,
    BridgeName,
    Case,
    ClientId,
    Instant,
    Observation,
    Phase,
    Reason,
    Record,
    StoredKey,
    Survey,
)
from reconciler.routes import Routes
from reconciler.steps import Adopt, Confirm, Forget, Initialize, Park, Remove, Step
from reconciler.verdicts import Verdict

app = command_app()


@dataclass(frozen=True, slots=True)
class Intended:
    """One step and why; not *sure* where a second listing has to agree first."""

    action: str
    client: str
    key_id: UUID
    bridge: BridgeName
    account: str
    connector: str
    why: str
    sure: bool
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    steps: list[Intended]
    unmanaged: int | None
    troubles: dict[BridgeName, str]
    """Why a bridge could not be asked."""
    pauses: Sequence[Pause] = ()


@app.command()
def plan(*, json: Json = False) -> None:
    """Say what the daemon would do next, and why; change nothing.

    Exit code: 0, or 5 if a bridge is away and the plan made without its listing.
    """
    now = SystemClock().now()
    found = anyio.run(_plan, settings(ForBridge), now)
    if json:
        said = {"steps": found.steps, "unmanaged": found.unmanaged, "away": found.troubles}
        document(said | {"pauses": found.pauses})
    else:
        _print(found, now)
    raise typer.Exit(Code.BRIDGE if found.troubles else Code.OK)


async def _plan(wanted: ForBridge, now: Instant) -> Plan:
    seen = {each.name: await _observed(wanted, each.name) for each in wanted.bridges}
    troubles = {name: str(why) for name, why in seen.items() if isinstance(why, Verdict)}
    steps, unmanaged = list[Intended](), list[int]()
    async with database(wanted.database_url) as engine:
        names = {client.id: client.name for client in await People(engine).clients()}
        pauses = await Pauses(engine).all()
        rules = None if await routes_in_force(engine) else routes_of(wanted.bridges)
        for name, found in seen.items():
            listing = found if isinstance(found, Observation) else None
            survey = await preview(engine, name, listing)
            steps += intended(_routed(survey, names, rules), listing, names, now)
            unmanaged += [] if survey.unmanaged is None else [survey.unmanaged]
    return Plan(steps, sum(unmanaged) if unmanaged else None, troubles, pauses)


def _routed(survey: Survey, names: Mapping[ClientId, str], rules: Routes | None) -> Survey:
    """Before a daemon wrote down which key goes where, every bridge would get them all."""
    if rules is None:
        return survey

    def here(case: Case) -> bool:
        want = case.want
        return want is None or want.slot.bridge == rules.bridge_of(
            want.client_id, names.get(want.client_id, ""), want.exchange
        )

    return replace(survey, cases=[*filter(here, survey.cases)])


async def _observed(wanted: ForBridge, name: BridgeName) -> Observation | Verdict:
    try:
        async with bridge(wanted, name) as asked:
            return await asked.observe()
    except Verdict as verdict:
        return verdict


def intended(
    survey: Survey, seen: Observation | None, names: Mapping[ClientId, str], now: Instant
) -> Iterator[Intended]:
    """Yield what would be done about each case."""
    for case in survey.cases:
        owner = case.want or case.record
        found = _next(case, seen, now)
        if owner is not None and found is not None:
            action, why, sure, due_at = found
            client = names.get(owner.client_id, "(a client that is gone)")
            key_id = case.want.id if case.want else _key_of(owner)
            slot = case.slot
            place = slot.bridge, slot.account, slot.connector
            yield Intended(action, client, key_id, *place, why, sure, due_at)


def _key_of(owner: StoredKey | Record) -> UUID:
    return owner.id if isinstance(owner, StoredKey) else owner.key_id


def _next(
    case: Case, seen: Observation | None, now: Instant
) -> tuple[str, str, bool, datetime | None] | None:
    missing = Absence.UNKNOWN if seen is None else Absence.DOUBTED
    if step := decide(case.want, case.record, case.seen or missing, now, held=case.held):
        return *_in_words(step, case), True, None
    if case.seen is None and seen is not None:
        believed = decide(case.want, case.record, Absence.BELIEVED, now, held=case.held)
        if believed is not None:
            action, why = _in_words(believed, case)
            return action, f"{why}, if a second listing lacks it too", False, None
    held = case.held or (case.want is not None and case.want.held)
    return None if held else _under_way(case.record)


def _under_way(record: Record | None) -> tuple[str, str, bool, datetime | None] | None:
    """Say what is written down and waits for its time."""
    if record is None:
        return None
    why = sentence(record.reason, record.message)
    match record.phase:
        case Phase.PENDING | Phase.RETRYING | Phase.INITIALIZING:
            return "initialize", why, True, record.due_at
        case Phase.REMOVING | Phase.UNREMOVABLE:
            return "remove", why, True, record.due_at
        case Phase.LIVE | Phase.PARKED | Phase.CONFLICT | Phase.REMOVED:
            return None


def _in_words(step: Step, case: Case) -> tuple[str, str]:
    match step:
        case Initialize(cause=cause):
            return "initialize", sentence(cause)
        case Confirm():
            return "confirm", "the listing shows what was sent last: no call is needed"
        case Adopt():
            return "adopt", sentence(Reason.ADOPTED)
        case Park(cause=cause):
            return "park", sentence(cause)
        case Remove():
            return "remove", sentence(Reason.ORPHAN)
        case Forget():
            none = "there is no connector of it"
            why = none if case.seen is None else "the connector there is not ours"
            return "forget", f"{sentence(Reason.ORPHAN)}, and {why}"


def _print(found: Plan, now: Instant) -> None:
    for name, why in found.troubles.items():
        warn(f"the bridge {name!r} is away ({why}): this plan is made without its listing")
    for pause in found.pauses:
        say(described(pause, now))
    if not found.steps:
        say("Nothing to do.")
    else:
        say(f"{len(found.steps)} step(s). Nothing was changed.")
        rows = [_cells(step, now) for step in found.steps]
        headings = ("Step", "Client", "Bridge", "Account", "Connector", "Key", "When", "Why")
        table(*without_same("Bridge", headings, rows))
    if found.unmanaged:
        say(f"{found.unmanaged} connector(s) on the bridge are not ours and stay as they are.")


def _cells(step: Intended, now: Instant) -> tuple[str, ...]:
    when = relative(step.due_at, now) if step.due_at and step.due_at > now else "next pass"
    return (
        *(step.action, step.client, step.bridge, step.account, step.connector),
        *(short(step.key_id), when, step.why),
    )
