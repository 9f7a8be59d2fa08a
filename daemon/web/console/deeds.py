"""What people do to keys, and what they hold: check, add, rotate, reinitialize, pause, resume."""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import SecretStr

from daemon.entry import BadEntry, KeyEntry, key_entry, remark
from daemon.store.pauses import Pauses, Subject
from daemon.web.api.keys import Adding, Changing, Checking
from daemon.web.api.parts import Id, Keeping
from daemon.web.console.answers import Question, ask, done, ours, refused
from daemon.web.console.doors import Acting, Page, Sealed, Word
from daemon.web.console.paper import page
from daemon.web.models import KeyChange, KeyState
from daemon.web.problems import Problem
from daemon.web.standing import in_place
from reconciler.model import ClientId, KeyId, Phase

routes = APIRouter(prefix="/console", route_class=Page, include_in_schema=False)
WAIT = 3.0
"""Seconds that a form waits for what comes of it; the page that follows is kept fresh anyway."""
_REPLACED = "connectors that trade now are replaced."
Scope = Literal["all", "bridge", "client", "key"]


@dataclass(repr=False)
class Typed:
    """What was typed into the form of a key; an exchange has what it has of the three secrets."""

    exchange: Word = ""
    api_key: Sealed = ""
    api_secret: Sealed = ""
    passphrase: Sealed = ""
    label: Word = ""
    is_testnet: Annotated[bool, Form()] = False
    verify: Annotated[bool, Form()] = False
    no_passphrase: Annotated[bool, Form()] = False
    """The exchange has none, so the form had no field for it; one that is stored is to go."""

    def entry(self) -> KeyEntry:
        """Raises BadEntry."""
        return key_entry(
            self.exchange,
            self.api_key,
            self.api_secret,
            self.passphrase or None,
            self.label.strip() or None,
            is_testnet=self.is_testnet,
        )

    def change(self) -> KeyChange:
        told = self.passphrase or self.no_passphrase
        return KeyChange(
            api_key=SecretStr(self.api_key),
            api_secret=SecretStr(self.api_secret),
            passphrase=SecretStr(self.passphrase) if told else None,
        )


Filled = Annotated[Typed, Depends()]


@routes.post("/clients/{client_id}/keys")
async def add_key(
    request: Request,
    client_id: Id,
    keeper: Keeping,
    adding: Adding,
    visitor: Acting,
    typed: Filled,
    sure: Word = "",
) -> Response:
    """Store a key. Without a script, its secrets are entered anew if anything was wrong."""
    here, whose = f"/console/clients/{client_id}", ClientId(client_id)
    try:
        entry, by = typed.entry(), visitor.caller.actor
        keys = await keeper.keys(whose)
        old = in_place(keys, entry.exchange, testnet=entry.is_testnet)
        if old and sure != str(old.id):
            return ask(request, visitor, _about_its_place(old, here, typed))
        added = await adding(whose, entry, WAIT, by, verify=typed.verify)
    except (BadEntry, Problem) as error:
        kept = urlencode({"exchange": typed.exchange[:100], "label": typed.label[:255]})
        return refused(request, f"{here}?{kept}", error)
    words = added.trading_bridge_warning or f"{added.message}: it is live."
    words += "".join(f" {each.text}" for each in added.warnings)
    well = added.trading_bridge_configured and "unproven" not in {w.code for w in added.warnings}
    return done(request, here, words, well=well)


def _about_its_place(old: KeyState, here: str, typed: Typed) -> Question:
    name = f"{old.api_key or str(old.id)[:8]}{f' ({old.label})' if old.label else ''}"
    seen = "" if old.bridge_up else " as last seen"
    words = (
        f"This client has a key for {old.exchange} already: {name}, {old.phase}{seen}. The new"
        " one takes its place on the bridge: that one stays stored, and is not used any more."
    )
    ticked = {"is_testnet": typed.is_testnet, "verify": typed.verify}
    kept = {"exchange": typed.exchange, "label": typed.label}
    return Question(
        [words],
        sure=str(old.id),
        agree=f"Take the place of {name}",
        deed="Add key",
        back=here,
        kept=kept | {name: "true" for name, value in ticked.items() if value},
        secret=True,
    )


@routes.post("/clients/{client_id}/check")
async def check_new(
    request: Request,
    client_id: Id,
    keeper: Keeping,
    checker: Checking,
    visitor: Acting,
    typed: Filled,
) -> Response:
    """Prove what was typed by a call to the exchange, and store nothing."""
    del visitor
    back = f"/console/clients/{client_id}"
    try:
        found = await checker.check(typed.entry(), await keeper.client(ClientId(client_id)))
    except (BadEntry, Problem) as error:
        return refused(request, back, error)
    return page(request, "checked.html", back=back, found=found, words="")


@routes.post("/keys/{key_id}/check")
async def check_rotation(
    request: Request,
    key_id: Id,
    keeper: Keeping,
    checker: Checking,
    visitor: Acting,
    typed: Filled,
) -> Response:
    """Prove new credentials for a key, and leave it as it is."""
    del visitor
    back = f"/console/keys/{key_id}"
    try:
        entry = await keeper.rotation(KeyId(key_id), typed.change())
        if entry is None:
            return done(request, back, "There was nothing to check.", well=False)
        whose = ClientId((await keeper.key(KeyId(key_id))).client_id)
        found = await checker.check(entry, await keeper.client(whose))
    except (BadEntry, Problem) as error:
        return refused(request, back, error)
    return page(request, "checked.html", back=back, found=found, words="")


@routes.post("/keys/{key_id}/rotate")
async def rotate(
    request: Request, key_id: Id, changing: Changing, visitor: Acting, typed: Filled
) -> Response:
    return await _changed(request, key_id, changing, visitor, typed.change(), verify=typed.verify)


@routes.post("/keys/{key_id}/label")
async def relabel(
    request: Request, key_id: Id, changing: Changing, visitor: Acting, label: Word = ""
) -> Response:
    change = KeyChange(label=label.strip() or None)
    return await _changed(request, key_id, changing, visitor, change)


@routes.post("/keys/{key_id}/active")
async def set_active(
    request: Request,
    key_id: Id,
    changing: Changing,
    visitor: Acting,
    *,
    active: Annotated[bool, Form()],
) -> Response:
    return await _changed(request, key_id, changing, visitor, KeyChange(is_active=active))


async def _changed(
    request: Request,
    key_id: UUID,
    changing: Changing,
    visitor: Acting,
    change: KeyChange,
    *,
    verify: bool = False,
) -> Response:
    here, by = f"/console/keys/{key_id}", visitor.caller.actor
    try:
        key = await changing(KeyId(key_id), change, WAIT, by, verify=verify)
    except (BadEntry, Problem) as error:
        return refused(request, here, error)
    if not key.changed:
        return done(request, here, f"{key.message}.")
    warned = [*key.warnings, *(key.check.warnings if key.check else ())]
    words = "".join(f" {text}" for text in dict.fromkeys(each.text for each in warned))
    return done(request, here, f"Saved. The key is {key.phase}: {key.why}.{words}")


@routes.post("/keys/{key_id}/delete")
async def delete_key(request: Request, key_id: Id, keeper: Keeping, visitor: Acting) -> Response:
    key = await keeper.key(KeyId(key_id))
    await keeper.delete_key(KeyId(key_id), visitor.caller.actor)
    words = "Key deleted; its connector is removed from the bridge."
    return done(request, f"/console/clients/{key.client_id}", words)


# -- reinitialize, pause, resume -----------------------------------------------------------------


@routes.post("/keys/{key_id}/reinitialize")
async def reinitialize_key(
    request: Request,
    key_id: Id,
    keeper: Keeping,
    visitor: Acting,
    back: Word = "",
    sure: Word = "",
) -> Response:
    """Ask first if the key is live by now, whatever the page said that the button was on."""
    here, by = ours(back or f"/console/keys/{key_id}"), visitor.caller.actor
    key = await keeper.key(KeyId(key_id))
    if key.phase == Phase.LIVE and sure != str(key_id):
        name = f"{key.exchange} of {key.client}"
        words = f"The key for {name} is live: to initialize it again replaces what trades now."
        return ask(request, visitor, _about_what_trades(words, str(key_id), here))
    _, states = await keeper.reinitialize(WAIT, by, key_id=KeyId(key_id))
    words = "".join(f" It is {key.phase}: {key.why}." for key in states)
    return done(request, here, f"Reinitialized.{words}")


@routes.post("/clients/{client_id}/reinitialize")
async def reinitialize_client(
    request: Request, client_id: Id, keeper: Keeping, visitor: Acting, sure: Word = ""
) -> Response:
    here, by = f"/console/clients/{client_id}", visitor.caller.actor
    if sure != str(client_id):
        words = f"Every active key of this client is initialized again: {_REPLACED}"
        return ask(request, visitor, _about_what_trades(words, str(client_id), here))
    count, _ = await keeper.reinitialize(WAIT, by, client_id=ClientId(client_id))
    return done(request, here, _again(count))


@routes.post("/reinitialize")
async def reinitialize_all(
    request: Request, keeper: Keeping, visitor: Acting, sure: Word = ""
) -> Response:
    if sure != "all":
        words = f"Every active key of every client is initialized again: {_REPLACED}"
        return ask(request, visitor, _about_what_trades(words, "all", "/console"))
    count, _ = await keeper.reinitialize(0, visitor.caller.actor)
    return done(request, "/console", _again(count))


def _about_what_trades(words: str, sure: str, back: str) -> Question:
    return Question(
        [words],
        sure=sure,
        agree="Replace what trades now",
        deed="Reinitialize",
        back=back,
        kept={"back": back},
    )


def _again(count: int) -> str:
    return f"{'1 active key is' if count == 1 else f'{count:,} active keys are'} initialized again."


@routes.post("/pauses")
async def pause(
    request: Request,
    keeper: Keeping,
    visitor: Acting,
    scope: Annotated[Scope, Form()],
    id: Word = "",  # noqa: A002 - as the API calls it
    reason: Word = "",
    back: Word = "",
) -> Response:
    subject, who = await keeper.subject(scope, id), visitor.caller
    why = remark("reason", reason) if reason.strip() else ""
    begun = await Pauses(keeper.engine, who.actor).begin(subject, who.name, why)
    return done(request, back, "Paused." if begun else "It was paused already.")


@routes.post("/pauses/end")
async def resume(
    request: Request,
    keeper: Keeping,
    visitor: Acting,
    scope: Annotated[Scope, Form()],
    id: Word = "",  # noqa: A002 - as the API calls it
    back: Word = "",
) -> Response:
    ended = await Pauses(keeper.engine, visitor.caller.actor).end(Subject(scope, id))
    return done(request, back, "Resumed." if ended else "It was not paused.")
