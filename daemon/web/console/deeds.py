"""What people do in the console: each form is answered by the page that shows what it did."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, cast
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import SecretStr

from daemon.entry import BadEntry, KeyEntry, key_entry, remark
from daemon.store.pauses import Pauses, Subject
from daemon.web.api.keys import Adding, Changing, Checking
from daemon.web.api.parts import Id, Keeping
from daemon.web.auth import Gate, address_of
from daemon.web.console.doors import Acting, Anybody, Page, sessions_of
from daemon.web.console.paper import STATIC, page, say
from daemon.web.console.watching import live
from daemon.web.models import ClientChange, KeyChange
from daemon.web.problems import Problem
from daemon.web.sessions import COOKIE, LENGTH
from reconciler.model import ClientId, KeyId, Secret

routes = APIRouter(prefix="/console", route_class=Page, include_in_schema=False)
front = APIRouter(include_in_schema=False)
WAIT = 3.0
"""Seconds that a form waits for what comes of it; the page that follows is kept fresh anyway."""
_OURS = re.compile(r"/console(?:/[A-Za-z0-9_./-]*)?(?:\?[A-Za-z0-9_=&%.+-]*)?")
Word = Annotated[str, Form(max_length=1_000)]
Sealed = Annotated[str, Form(max_length=65_536)]
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


def done(request: Request, where: str, words: str, *, well: bool = True) -> Response:
    """Return the way to the page that shows it. Nobody is sent elsewhere."""
    where = where if _OURS.fullmatch(where) else "/console"
    sent_by_script = Response(status_code=204, headers={"X-Next": where})
    return say(
        request,
        sent_by_script if live(request) else RedirectResponse(where, 303),
        words,
        well=well,
    )


def refused(request: Request, form: str, error: BadEntry | Problem) -> Response:
    """Say what was wrong: beside the form, whose secrets stay there, if its script has sent it."""
    words = error.detail if isinstance(error, Problem) else str(error)
    if "Nothing was saved" not in words:
        words = f"Nothing was saved. {words}"
    if live(request):
        return page(request, "checked.html", 422, back=form, found=None, words=words)
    return done(request, form, words, well=False)


@front.get("/")
async def show_the_way() -> Response:
    return RedirectResponse("/console", 307)


@routes.get("/static/{name}")
async def send_static(name: str) -> Response:
    if name not in STATIC:
        raise Problem("not_found", "There is no such file.")
    body, kind = STATIC[name]
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}  # its address has a digest
    return Response(body, media_type=kind, headers=headers)


# -- sessions ------------------------------------------------------------------------------------


@routes.get("/login")
async def show_login(
    request: Request,
    next: Annotated[str, Query(max_length=2_000)] = "/console",  # noqa: A002
) -> Response:
    return page(request, "login.html", next=next, words="")


@routes.post("/login")
async def log_in(
    request: Request,
    token: Sealed = "",
    next: Word = "/console",  # noqa: A002
) -> Response:
    gate = cast("Gate", request.app.state.gate)
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem("forbidden", "Log in from the console's own page.")
    try:
        caller = await gate.caller(Secret(token.strip() or "-"), address_of(request))
    except Problem as problem:
        if problem.code not in ("unauthorized", "throttled"):
            raise
        wrong = "This token opens nothing: it is wrong, revoked or has expired."
        words = problem.detail if problem.code == "throttled" else wrong
        status = 429 if problem.code == "throttled" else 401
        return page(request, "login.html", status, next=next, words=words)
    where = next if _OURS.fullmatch(next) else "/console"
    response = RedirectResponse("/console/mine" if caller.role == "client" else where, 303)
    response.set_cookie(
        COOKIE,
        sessions_of(request).begin(caller),
        max_age=int(LENGTH.total_seconds()),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@routes.post("/logout")
async def log_out(request: Request, visitor: Anybody) -> Response:
    await sessions_of(request).end(visitor.caller)
    response = RedirectResponse("/console/login", 303)
    response.delete_cookie(COOKIE)
    return response


# -- clients -------------------------------------------------------------------------------------


@routes.post("/clients")
async def add_client(
    request: Request, keeper: Keeping, visitor: Acting, name: Word = "", account: Word = ""
) -> Response:
    try:
        made = await keeper.add_client(name, account or None, visitor.caller.actor)
    except BadEntry as error:
        return done(request, "/console/clients", str(error), well=False)
    here, doubt = f"/console/clients/{made.id}", await keeper.doubt_about(made)
    return done(request, here, f"Client added. {doubt or 'Now add a key.'}", well=doubt is None)


@routes.post("/clients/{client_id}/status")
async def set_status(
    request: Request,
    client_id: Id,
    keeper: Keeping,
    visitor: Acting,
    status: Annotated[Literal["ACTIVE", "PAUSED", "SUSPENDED"], Form()],
) -> Response:
    change = ClientChange(status=status)
    await keeper.change_client(ClientId(client_id), change, visitor.caller.actor)
    return done(request, f"/console/clients/{client_id}", f"The client is {status.lower()}.")


@routes.post("/clients/{client_id}/delete")
async def delete_client(
    request: Request, client_id: Id, keeper: Keeping, visitor: Acting
) -> Response:
    keys = await keeper.delete_client(ClientId(client_id), visitor.caller.actor)
    return done(request, "/console/clients", f"Client deleted, with {keys} key(s).")


# -- keys ----------------------------------------------------------------------------------------


@routes.post("/clients/{client_id}/keys")
async def add_key(
    request: Request, client_id: Id, adding: Adding, visitor: Acting, typed: Filled
) -> Response:
    """Store a key. Without a script, its secrets are entered anew if anything was wrong."""
    here = f"/console/clients/{client_id}"
    try:
        by, whose = visitor.caller.actor, ClientId(client_id)
        added = await adding(whose, typed.entry(), WAIT, by, verify=typed.verify)
    except (BadEntry, Problem) as error:
        kept = urlencode({"exchange": typed.exchange[:100], "label": typed.label[:255]})
        return refused(request, f"{here}?{kept}", error)
    words = added.trading_bridge_warning or f"{added.message}: it is live."
    words += "".join(f" {each.text}" for each in added.warnings)
    return done(request, here, words, well=added.trading_bridge_configured)


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
    warned = "".join(f" {each.text}" for each in (key.check.warnings if key.check else ()))
    return done(request, here, f"Saved. The key is {key.phase}: {key.why}.{warned}")


@routes.post("/keys/{key_id}/delete")
async def delete_key(request: Request, key_id: Id, keeper: Keeping, visitor: Acting) -> Response:
    key = await keeper.key(KeyId(key_id))
    await keeper.delete_key(KeyId(key_id), visitor.caller.actor)
    words = "Key deleted; its connector is removed from the bridge."
    return done(request, f"/console/clients/{key.client_id}", words)


# -- reinitialize, pause, resume -----------------------------------------------------------------


@routes.post("/keys/{key_id}/reinitialize")
async def reinitialize_key(
    request: Request, key_id: Id, keeper: Keeping, visitor: Acting, back: Word = ""
) -> Response:
    by = visitor.caller.actor
    _, states = await keeper.reinitialize(WAIT, by, key_id=KeyId(key_id))
    words = "".join(f" It is {key.phase}: {key.why}." for key in states)
    return done(request, back or f"/console/keys/{key_id}", f"Reinitialized.{words}")


@routes.post("/clients/{client_id}/reinitialize")
async def reinitialize_client(
    request: Request, client_id: Id, keeper: Keeping, visitor: Acting
) -> Response:
    by = visitor.caller.actor
    count, _ = await keeper.reinitialize(WAIT, by, client_id=ClientId(client_id))
    words = f"{count} active key(s) are initialized again."
    return done(request, f"/console/clients/{client_id}", words)


@routes.post("/reinitialize")
async def reinitialize_all(request: Request, keeper: Keeping, visitor: Acting) -> Response:
    count, _ = await keeper.reinitialize(0, visitor.caller.actor)
    return done(request, "/console", f"{count} active key(s) are initialized again.")


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
