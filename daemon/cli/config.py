"""`config`: are the settings right, and does what they name answer."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import anyio
import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.asking import confirm
from daemon.cli.exits import Code, Trouble
from daemon.cli.line import bridge
from daemon.cli.output import Json, document, say, table, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForBridge, ForDatabase, ForKeys, database, opened, settings
from daemon.cli.who import operator
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.reached import state_of, was_started
from daemon.settings import (
    EMBEDDED,
    OURS,
    BadSettings,
    BridgeSettings,
    Settings,
    open_files,
    read,
    unknown,
)
from daemon.store import routes, schema
from daemon.store.away import in_a_line, whereabouts
from daemon.store.keyring import check_keyring
from daemon.store.people import NoSuchThing
from daemon.store.status import Status
from daemon.vault import Keyring
from daemon.wiring import check_certificates
from reconciler.model import BridgeName
from reconciler.verdicts import StoreError, Undecryptable, Verdict

app = command_app("Check the settings, and what they lead to.")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; *code* is what its failure makes of the command."""

    name: str
    ok: bool
    found: str
    code: Code


@app.callback()
def _config() -> None: ...


@app.command()
def check(
    *,
    offline: Annotated[bool, typer.Option(help="Look at the settings only.")] = False,
    json: Json = False,
) -> None:
    """Check the settings, then whether database and bridges answer.

    Exit code: 0 all is well, 2 a setting is wrong, 4 it is the database, 5 it is a bridge.
    """
    said = _said()
    checks = [Check("settings", ok=True, found=_origin(said), code=Code.USAGE)]
    if not offline:
        checks += anyio.run(_looked, said)
    first = next((each for each in checks if not each.ok), None)
    if json:
        document({"checks": checks, "well": first is None})
    else:
        states = {True: "ok", False: "BROKEN"}
        table(("Check", "", "Found"), [(c.name, states[c.ok], c.found) for c in checks])
        say("All is well." if first is None else f"First trouble: {first.name}: {first.found}")
    raise typer.Exit(first.code if first else Code.OK)


@app.command("forget-bridge")
def forget_bridge(
    name: Annotated[str, typer.Argument(help="A bridge that is no longer in the settings.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Forget a bridge that is gone for good, and what was written down of its connectors.

    Nothing is removed from the bridge itself: if it still runs, its connectors go on trading.
    """
    if not yes:
        confirm(f"Forget the bridge {name!r}? Connectors that it still has are not removed.")
    count = anyio.run(_forget_bridge, settings(ForDatabase), BridgeName(name))
    if json:
        document({"bridge": name, "connectors": count})
    else:
        say(f"Forgot the bridge {name!r} and {count} connector(s) of it.")


async def _forget_bridge(wanted: ForDatabase, name: BridgeName) -> int:
    async with database(wanted.database_url) as engine:
        if name not in {each.bridge for each in await Status(engine).bridges()}:
            raise NoSuchThing(f"no bridge {name!r} is known: see 'bridgetender status'")
        count = await routes.forget_bridge(engine, name, operator())
    if count is None:
        raise Trouble(
            f"the bridge {name!r} is in use: a daemon's settings name it, or one holds it"
        )
    return count


def _said() -> Settings:
    """Return the settings as the daemon would read them. Raises Trouble naming all mistakes."""
    try:
        said = read(os.environ, Settings)
        check_certificates(said)
    except BadSettings as error:
        raise Trouble(f"settings are missing or wrong:\n{error}") from None
    for name in unknown(os.environ):
        warn(f"{name} sets nothing")
    for path in open_files(os.environ):
        warn(f"{path} holds a secret and everybody may read it: chmod 600 {path}")
    return said


def _origin(said: Settings) -> str:
    try:
        where = f"embedded in {state_of(os.environ)}" if said.database_url == EMBEDDED else "set"
    except EmbeddedError as error:
        raise Trouble(str(error)) from None
    names = ", ".join(each.name for each in said.bridges)
    return f"database {where}; bridges {names}, of which {said.routes.default} is the default"


async def _looked(said: Settings) -> list[Check]:
    reached = ForBridge(said.database_url, said.bridges, said.state_dir)
    bridges = [await _bridge(reached, each) for each in said.bridges]
    if said.database_url == EMBEDDED and not (state_of(os.environ) / "postgres/data").exists():
        found = "none yet: it is made when 'bridgetender run' first runs"
        return [Check("database", ok=True, found=found, code=Code.DATABASE), *bridges]
    try:
        wanted = settings(ForKeys)
    except Trouble as error:  # it is embedded, and does not run
        found = " ".join(str(error).splitlines())
        return [Check("database", ok=False, found=found, code=Code.DATABASE), *bridges]
    async with opened(wanted.database_url) as engine:
        return [each async for each in _database(engine, wanted.keyring, said)] + bridges


async def _database(engine: AsyncEngine, keyring: Keyring, said: Settings) -> AsyncIterator[Check]:
    """Yield what is found, up to the first trouble."""
    try:
        version = await schema.version(engine)
    except StoreError as error:
        yield Check("database", ok=False, found=in_a_line(engine, error), code=Code.DATABASE)
        return
    yield Check("database", ok=True, found=whereabouts(engine.url), code=Code.DATABASE)
    current = version is not None and version >= schema.newest()
    needed = f"{schema.newest()} is needed: run 'bridgetender migrate'"
    found = f"at {version}" if current else f"{version or 'no tables yet'}; {needed}"
    yield Check("schema", ok=current, found=found, code=Code.DATABASE)
    if current:
        yield await _keyring(engine, keyring)
        yield await _rules(engine, said)


async def _keyring(engine: AsyncEngine, keyring: Keyring) -> Check:
    try:
        await check_keyring(engine, keyring.unseal)
    except Undecryptable:
        found = "ENCRYPTION_KEY is not the one that this database was set up with: add that one"
        return Check("keyring", ok=False, found=found, code=Code.USAGE)
    return Check("keyring", ok=True, found="it reads this database", code=Code.USAGE)


async def _rules(engine: AsyncEngine, said: Settings) -> Check:
    """Say whether the rules of these settings for which key goes where are in force."""
    force = await routes.routes_in_force(engine)
    if force and force != set(said.routes.rows()):
        found = "others are in force: send SIGHUP to a daemon with these settings, or use its own"
        return Check("rules", ok=False, found=found, code=Code.USAGE)
    found = "these are in force" if force else "none are in force before a daemon first runs"
    return Check("rules", ok=True, found=found, code=Code.USAGE)


async def _bridge(wanted: ForBridge, one: BridgeSettings) -> Check:
    title, ours = f"bridge {one.name}", one.url == OURS
    if ours and not was_started(state_of(os.environ)):
        found = "none yet: it is started when 'bridgetender run' first runs"
        return Check(title, ok=True, found=found, code=Code.BRIDGE)
    try:
        async with bridge(wanted, one.name) as asked:
            seen = await asked.observe()
    except Verdict as verdict:
        found = f"{verdict}; it is our own, and runs while 'bridgetender run' does"
        return Check(title, ok=False, found=found if ours else str(verdict), code=Code.BRIDGE)
    found = f"answers, and lists {len(seen.connectors)} connector(s)"
    return Check(title, ok=True, found=found, code=Code.BRIDGE)
