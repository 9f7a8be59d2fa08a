"""`explain`: walks one key from its row to its balance and names the first broken link."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import anyio
import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.bridges.balances import Balances, Failure
from daemon.bridges.trading import TradingBridge
from daemon.cli.exits import Code, Trouble
from daemon.cli.line import bridge
from daemon.cli.output import Json, document, say, table
from daemon.cli.parts import command_app
from daemon.cli.pauses import cure_of, of_key, words_of
from daemon.cli.reach import ForAll, opened, settings
from daemon.clock import SystemClock
from daemon.rights import rights_words, warnings_of
from daemon.settings import routes_of
from daemon.store.away import away, whereabouts
from daemon.store.pauses import Pause, Pauses
from daemon.store.people import NoSuchThing, People, SealedEntry
from daemon.store.status import BridgeStatus, KeyStatus, Status
from daemon.vault import Keyring, ends
from daemon.words import Means, commands, cure, relative, sentence
from reconciler.model import BridgeName, Connector, Instant, Phase, Reason, Record, Slot
from reconciler.verdicts import StoreError, Undecryptable, Verdict

app = command_app()
Money = Balances | Failure | Verdict


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain; *ok* is None where nobody could be asked."""

    name: str
    ok: bool | None
    found: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database says of a key."""

    where: str
    key: KeyStatus
    sealed: SealedEntry = field(repr=False)
    record: Record | None
    bridge: BridgeStatus | None
    pauses: Sequence[Pause] = ()

    @property
    def wanted(self) -> bool:
        """Tell whether this key is to have a connector at all."""
        return self.key.phase != "inactive" and self.key.holder_id is None

    @property
    def slot(self) -> Slot:
        return Slot(self.key.bridge, self.key.account, self.key.connector)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the bridge shows of a slot, or why it shows nothing."""

    trouble: Verdict | None = None
    connector: Connector | None = None
    money: Money | None = None


@app.command()
def explain(
    key: Annotated[str, typer.Argument(help="A key's id, or at least its first 8 characters.")],
    *,
    json: Json = False,
) -> None:
    """Walk one key from its row to its balance; name the first broken link and its cure.

    Exit code: 0 all links hold, 3 one is broken, 4 it is the database, 5 it is the bridge.
    """
    links = anyio.run(_links, settings(ForAll), key)
    broken = next((link for link in links if link.ok is False), None)
    if json:
        document({"key": key, "links": links, "broken": broken})
    else:
        _print(key, links, broken)
    raise typer.Exit(_code(broken))


def _code(broken: Link | None) -> Code:
    if broken is None:
        return Code.OK
    return {"database": Code.DATABASE, "bridge": Code.BRIDGE}.get(broken.name, Code.NOT_LIVE)


def _print(key: str, links: list[Link], broken: Link | None) -> None:
    states = {True: "ok", False: "BROKEN", None: "unknown"}
    table(("Link", "", "Found"), [(link.name, states[link.ok], link.found) for link in links])
    if broken is None:
        say("Every link holds.")
    else:
        say(f"First broken link: {broken.name}: {broken.found}")
        say(f"What to do: {broken.cure}")
    say(f"What happened before: bridgetender history {key}")


# -- asking ----------------------------------------------------------------------------------


async def _links(wanted: ForAll, key: str) -> list[Link]:
    async with opened(wanted.database_url) as engine:
        try:
            stored = await _stored(engine, key, routes_of(wanted.bridges).default)
        except NoSuchThing as error:
            raise Trouble(str(error), Code.NOT_FOUND) from None
        except StoreError as error:
            found, *check = away(engine, error).splitlines()
            return [Link("database", ok=False, found=found, cure=" ".join(check) or found)]
    shown = await _shown(wanted, stored.slot)
    return list(chain(stored, wanted.keyring, shown, SystemClock().now()))


async def _stored(engine: AsyncEngine, key: str, main: BridgeName) -> Stored:
    people, status = People(engine), Status(engine, main)
    row = await people.find_key(key)
    found, sealed = await status.key(row.id), await people.sealed(row.id)
    if found is None:
        raise NoSuchThing(f"key {row.id} was deleted just now")
    record = await status.record(Slot(found.bridge, found.account, found.connector))
    bridges = {bridge.bridge: bridge for bridge in await status.bridges()}
    pauses = list(of_key(await Pauses(engine).all(), found))
    holder = bridges.get(found.bridge)
    return Stored(whereabouts(engine.url), found, sealed, record, holder, pauses)


async def _shown(wanted: ForAll, slot: Slot) -> Shown:
    try:
        async with bridge(wanted, slot.bridge) as asked:
            listing = await asked.observe()
            listed = {connector.slot: connector for connector in listing.connectors}
            if slot not in listed:
                return Shown()
            return Shown(connector=listed[slot], money=await _money(asked, slot))
    except Verdict as verdict:
        return Shown(trouble=verdict)


async def _money(asked: TradingBridge, slot: Slot) -> Money:
    try:
        return (await asked.balances(slot.account, (slot.connector,)))[slot.connector]
    except Verdict as verdict:
        return verdict


# -- judging ---------------------------------------------------------------------------------


def chain(stored: Stored, keyring: Keyring, shown: Shown, now: Instant) -> Iterator[Link]:
    """Yield every link in its order."""
    yield Link("database", ok=True, found=stored.where)
    yield _row(stored.key)
    yield _decryption(stored, keyring)
    yield _account(stored.key)
    yield _slot(stored.key)
    yield _daemon(stored.bridge)
    yield from _pauses(stored, now)
    yield _bridge(stored.key, shown)
    yield _connector(stored, now)
    yield _listing(stored, shown)
    yield _credentials(stored.key, now)
    yield _rights(stored.key, now)
    yield _balance(shown)


def _means(key: KeyStatus) -> Means:
    return commands(str(key.key_id), str(key.client_id))


def _cure(key: KeyStatus, reason: str | None = None) -> str:
    return cure(reason or key.reason, _means(key))


def _row(key: KeyStatus) -> Link:
    what = f"{key.exchange} key of {key.client}, {key.key_id}"
    if key.phase != "inactive":
        return Link("row", ok=True, found=f"{what}, active")
    return Link("row", ok=False, found=f"{what}: {sentence(key.reason)}", cure=_cure(key))


def _decryption(stored: Stored, keyring: Keyring) -> Link:
    sealed = stored.sealed
    try:
        api_key = keyring.unseal(sealed.api_key, "api_key")
        keyring.unseal(sealed.api_secret, "api_secret")
        if sealed.passphrase:
            keyring.unseal(sealed.passphrase, "passphrase")
    except Undecryptable as error:
        todo = _cure(stored.key, Reason.UNDECRYPTABLE)
        return Link("decryption", ok=False, found=str(error), cure=todo)
    return Link("decryption", ok=True, found=f"readable, api key {ends(api_key)}")


def _account(key: KeyStatus) -> Link:
    if key.reason != Reason.ACCOUNT_TAKEN:
        return Link("account", ok=True, found=key.account)
    found = f"{key.account}: {sentence(key.reason)}"
    return Link("account", ok=False, found=found, cure=_cure(key))


def _slot(key: KeyStatus) -> Link:
    place = f"{key.account}/{key.connector}"
    if key.holder_id is None:
        return Link("slot", ok=True, found=place)
    found = f"{place}: {sentence(Reason.SLOT_TAKEN)}, {key.holder_id}"
    return Link("slot", ok=False, found=found, cure=_cure(key, Reason.SLOT_TAKEN))


def _daemon(bridge: BridgeStatus | None) -> Link:
    if bridge is not None and bridge.holder is not None:
        return Link("daemon", ok=True, found=f"{bridge.holder} holds the bridge {bridge.bridge!r}")
    todo = "start one: bridgetender run; if it runs, its log and /readyz say what it waits for"
    return Link("daemon", ok=False, found="no daemon holds the bridge", cure=todo)


def _pauses(stored: Stored, now: Instant) -> Iterator[Link]:
    """A pause leaves what is live as it is, and keeps from becoming live what is not."""
    live = stored.key.phase == Phase.LIVE
    for pause in stored.pauses:
        found = words_of(pause, now)
        yield Link("pause", ok=live or not stored.wanted, found=found, cure=cure_of(pause))


def _bridge(key: KeyStatus, shown: Shown) -> Link:
    if shown.trouble is None:
        return Link("bridge", ok=True, found="answers")
    todo = _cure(key, Reason.BRIDGE_UNAVAILABLE)
    return Link("bridge", ok=False, found=str(shown.trouble), cure=todo)


def _connector(stored: Stored, now: Instant) -> Link:
    key = stored.key
    if not stored.wanted:
        return Link("connector", ok=None, found="none is wanted for this key")
    found = f"{key.phase}: {sentence(key.reason, key.message)}"
    if key.phase == Phase.LIVE:
        return Link("connector", ok=True, found=found)
    if key.due_at is not None:
        found += f"; next try {relative(key.due_at, now)}"
    return Link("connector", ok=False, found=found, cure=_cure(key))


def _listing(stored: Stored, shown: Shown) -> Link:
    if shown.trouble is not None:
        return Link("listing", ok=None, found="the bridge could not be asked")
    if shown.connector is None and not stored.wanted:
        return Link("listing", ok=None, found="the bridge does not list it, and need not")
    if shown.connector is None:
        again = _means(stored.key).reinitialize
        todo = f"wait for the next pass of the daemon; if it stays so: {again}"
        return Link("listing", ok=False, found="the bridge does not list it", cure=todo)
    label, record = shown.connector.fingerprint, stored.record
    if label and record and record.fingerprint not in (None, label):
        todo = _cure(stored.key, Reason.REPLACED)
        found = "the bridge lists it with credentials that are not ours"
        return Link("listing", ok=False, found=found, cure=todo)
    return Link("listing", ok=True, found="the bridge lists it")


def _credentials(key: KeyStatus, now: Instant) -> Link:
    if key.verified_at is None:
        proven = "never proven"
    else:
        proven = f"last proven {relative(key.verified_at, now)}"
    if key.verified == "failed":
        found = f"{sentence(Reason.REFUSED)}, {proven}"
        return Link("credentials", ok=False, found=found, cure=_cure(key, Reason.REFUSED))
    return Link("credentials", ok=True if key.verified == "ok" else None, found=proven)


def _rights(key: KeyStatus, now: Instant) -> Link:
    """Warnings break nothing: the key works."""
    if key.rights is None and key.verified_at is None:
        return Link("rights", ok=None, found="not known before the key is proven")
    if key.rights is None:
        return Link("rights", ok=None, found="its exchange does not tell what it may do")
    warned = [f"WARNING: {each.text}" for each in warnings_of(key.rights, now)]
    return Link("rights", ok=True, found="; ".join([rights_words(key.rights), *warned]))


def _balance(shown: Shown) -> Link:
    match shown.money:
        case None:
            return Link("balance", ok=None, found="not asked: no connector is listed")
        case Balances(amounts=amounts):
            held = [f"{a.total if a.total is not None else '?'} {a.asset}" for a in amounts]
            return Link("balance", ok=True, found=", ".join(held) or "empty, says the exchange")
        case problem:
            message = problem.message if isinstance(problem, Failure) else str(problem)
            todo = "read the reason; bridgetender status tells whether the key is retried"
            return Link("balance", ok=False, found=message, cure=todo)
