"""What people do to clients: add, rename, file under another account, suspend, delete."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from daemon.entry import BadEntry
from daemon.store.people import Client
from daemon.web.api.parts import Id, Keeping
from daemon.web.console.answers import Question, ask, done, refused
from daemon.web.console.doors import Acting, Page, Word
from daemon.web.keeper import Keeper
from daemon.web.models import ClientChange
from daemon.web.problems import Problem
from reconciler.model import ClientId

routes = APIRouter(prefix="/console", route_class=Page, include_in_schema=False)


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


@routes.post("/clients/{client_id}")
async def refile(
    request: Request,
    client_id: Id,
    keeper: Keeping,
    visitor: Acting,
    name: Word = "",
    account: Word = "",
    sure: Word = "",
) -> Response:
    """Name a client and say its account; an empty one is made from the name."""
    here, whose = f"/console/clients/{client_id}", ClientId(client_id)
    try:
        change = ClientChange(name=name, account=account or None)
        before, after = await keeper.client(whose), await keeper.foretold(whose, change)
        moved = after.account not in (before.account, sure)
        words = await _about_the_move(keeper, after) if moved else []
        if words:
            return ask(request, visitor, _question(words, here, after, name, account))
        if after == before:
            return done(request, here, "Nothing changed: it was so before.")
        made = await keeper.change_client(whose, change, visitor.caller.actor)
    except (BadEntry, Problem) as error:
        return refused(request, here, error)
    return done(request, here, f"Saved: the client is {made.name}, its account {made.account}.")


async def _about_the_move(keeper: Keeper, after: Client) -> list[str]:
    active = sum(key.is_active for key in await keeper.keys(after.id))
    words = []
    if active:
        keys = "Its active key moves" if active == 1 else f"Its {active} active keys move"
        words = [f"{keys} to the account {after.account!r}: connectors that trade are replaced."]
    doubt = await keeper.doubt_about(after)
    return [*words, doubt] if doubt else words


def _question(words: list[str], here: str, after: Client, name: str, account: str) -> Question:
    agree = f"File this client under {after.account}"
    kept = {"name": name, "account": account}
    return Question(words, sure=after.account, agree=agree, deed="Save", back=here, kept=kept)


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
    words = f"Client deleted, with {'1 key' if keys == 1 else f'{keys} keys'}."
    return done(request, "/console/clients", words)
