"""Pauses in words, and which thing `pause` and `resume` speak of."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Trouble
from daemon.store.pauses import Pause, Pauses, Scope, Subject
from daemon.store.people import NoSuchThing, People
from daemon.store.routes import routes_in_force
from daemon.store.status import KeyStatus, Status
from daemon.words import relative
from reconciler.model import Instant
from reconciler.routes import MAIN

Everything = Annotated[bool, typer.Option("--all", help="Everything, on every bridge.")]
OfBridge = Annotated[str | None, typer.Option("--bridge", metavar="NAME", help="All of a bridge.")]
OfClient = Annotated[
    str | None, typer.Option("--client", metavar="CLIENT", help="A client's name or id.")
]
OfKey = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="A key's id, or its first 8 letters.")
]
Said = tuple[Scope, str]


def one_of(*, everything: bool, bridge: str | None, client: str | None, key: str | None) -> Said:
    """Return the one thing that was said. Raises Trouble for none or several."""
    asked: dict[Scope, str | None] = {"all": "" if everything else None, "bridge": bridge}
    asked |= {"client": client, "key": key}
    said = [(scope, text) for scope, text in asked.items() if text is not None]
    if len(said) != 1:
        raise Trouble("say one of --all, --bridge, --client and --key")
    return said[0]


async def subject_of(engine: AsyncEngine, said: Said) -> Subject:
    """Return what was said, by its id. Raises NoSuchThing.

    What is gone from the tables of people is still known while it is paused.
    """
    scope, asked = said
    paused = await Pauses(engine).all()
    known = [p for p in paused if p.scope == scope and asked in (p.id, p.name)]
    if len(known) == 1:
        return Subject(scope, known[0].id, known[0].name)
    match scope:
        case "all":
            return Subject("all")
        case "bridge":
            return await _bridge(engine, asked)
        case "client":
            return await _client(engine, asked)
        case "key":
            found = await People(engine).find_key(asked)
            return Subject("key", str(found.id), f"{found.client}'s key for {found.exchange}")


async def _bridge(engine: AsyncEngine, name: str) -> Subject:
    named = {bridge for _, _, bridge in await routes_in_force(engine)}
    known = named | {bridge.bridge for bridge in await Status(engine).bridges()} or {MAIN}
    if name not in known:
        raise NoSuchThing(f"no bridge {name!r}: there is {' and '.join(sorted(known))}")
    return Subject("bridge", name, name)


async def _client(engine: AsyncEngine, name_or_id: str) -> Subject:
    people = People(engine)
    found = await people.find_client(name_or_id)
    (name,) = (client.name for client in await people.clients() if client.id == found)
    return Subject("client", str(found), name)


def of_key(pauses: Iterable[Pause], key: KeyStatus) -> Iterator[Pause]:
    """Yield the pauses that reach *key*."""
    ids = {"client_id": key.client_id, "key_id": key.key_id}
    return (pause for pause in pauses if pause.reaches(bridge=key.bridge, **ids))


def thing(subject: Subject | Pause) -> str:
    match subject.scope:
        case "all":
            return "Everything"
        case "bridge":
            return f"Bridge {subject.name!r}"
        case "client":
            return f"Client {subject.name!r}"
        case "key":
            return f"{subject.name} ({subject.id})"


def words_of(pause: Pause, now: Instant) -> str:
    since = relative(pause.since, now).removesuffix(" ago")
    why = f": {pause.reason}" if pause.reason else ""
    return f"{thing(pause)} is paused, by {pause.by}, for {since}{why}"


def cure_of(pause: Pause) -> str:
    """Return the command that ends it."""
    if pause.scope == "all":
        return "bridgetender resume --all"
    return f"bridgetender resume --{pause.scope} {pause.id}"


def described(pause: Pause, now: Instant) -> str:
    return f"{words_of(pause, now)}. To go on: {cure_of(pause)}"
