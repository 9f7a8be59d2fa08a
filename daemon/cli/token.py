"""`token`: what opens the API. One is printed when it is made, and never again."""

from collections.abc import Sequence
from typing import Annotated, get_args

import anyio
import typer

from daemon.cli.exits import Trouble
from daemon.cli.output import Json, document, say, table, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForDatabase, database, settings
from daemon.cli.who import operator
from daemon.clock import SystemClock
from daemon.entry import token_name
from daemon.store.people import Client, People
from daemon.store.tokens import Tokens
from daemon.tokens import Role, Token, digest_of, new_token
from daemon.words import length, relative
from reconciler.model import ClientId, Instant, Secret

app = command_app("Make, list and revoke tokens for the API and the console.")
_ROLES = "admin: may do everything; viewer: may see everything; client: may see what is its own"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what will use it; the audit names it so.")],
    *,
    role: Annotated[str, typer.Option(metavar="|".join(get_args(Role)), help=_ROLES)],
    client: Annotated[
        str | None, typer.Option(help="Whose a client's token is: the client's name or id.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is good for, such as 90d; without: for ever.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a token and print it, once: only a digest of it is kept."""
    name, wanted_role = token_name(name), _role(role)
    if (wanted_role == "client") != (client is not None):
        raise Trouble("say --client with --role client, and with no other role")
    until = _until(expires, SystemClock().now())
    secret = new_token()
    made = anyio.run(_create, settings(ForDatabase), name, wanted_role, secret, client, until)
    if json:
        document({"token": secret.reveal(), **_as_dict(made)})
        return
    say(secret.reveal())
    ends = f"expires {relative(until, SystemClock().now())}" if until else "does not expire"
    typer.echo(f"This is {name!r}, {role}; it {ends}. It is not shown again.", err=True)


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List tokens: who has which, since when, until when. Themselves they are not kept."""
    found, clients = anyio.run(_list, settings(ForDatabase))
    if json:
        document({"tokens": [_as_dict(token) for token in found]})
        return
    names, now = {client.id: client.name for client in clients}, SystemClock().now()
    headings = ("Name", "Role", "Client", "Made by", "Made", "Last used", "State", "Id")
    table(headings, [_cells(token, names, now) for token in found])


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="A token's name or id, not itself.")],
    *,
    json: Json = False,
) -> None:
    """Let a token open nothing any more, at once. There is no way back: make a new one."""
    found = anyio.run(_revoke, settings(ForDatabase), token)
    if json:
        document({"revoked": [_as_dict(each) for each in found]})
        return
    for each in found:
        say(f"Revoked {each.name!r} ({each.id}).")
    if len(found) > 1:
        warn(f"{len(found)} tokens had this name, and all are revoked")


def _role(text: str) -> Role:
    for role in get_args(Role):
        if text == role:
            return role  # type: ignore[no-any-return]  # get_args forgets what they are
    raise Trouble(f"--role: say one of {', '.join(get_args(Role))}")


def _until(expires: str | None, now: Instant) -> Instant | None:
    if expires is None:
        return None
    try:
        good_for = length(expires)
    except ValueError as error:
        raise Trouble(f"--expires: {error}") from None
    if not good_for:
        raise Trouble("--expires: it would never be good")
    return now + good_for


async def _create(
    wanted: ForDatabase,
    name: str,
    role: Role,
    secret: Secret,
    client: str | None,
    until: Instant | None,
) -> Token:
    async with database(wanted.database_url) as engine:
        whose = None if client is None else await People(engine).find_client(client)
        tokens, digest = Tokens(engine), digest_of(secret)
        if name in {each.name for each in await tokens.all() if each.revoked_at is None}:
            raise Trouble(f"a token {name!r} is in use: take another name, or revoke it first")
        return await tokens.create(
            name, role, digest, operator(), client_id=whose, expires_at=until
        )


async def _list(wanted: ForDatabase) -> tuple[Sequence[Token], Sequence[Client]]:
    async with database(wanted.database_url) as engine:
        return await Tokens(engine).all(), await People(engine).clients()


async def _revoke(wanted: ForDatabase, token: str) -> Sequence[Token]:
    async with database(wanted.database_url) as engine:
        return await Tokens(engine).revoke(token, operator())


def _as_dict(token: Token) -> dict[str, object]:
    return {name: getattr(token, name) for name in Token.__slots__}


def _cells(token: Token, names: dict[ClientId, str], now: Instant) -> tuple[str, ...]:
    client = token.client_id
    return (
        token.name,
        token.role,
        "" if client is None else names.get(client, f"{client} (deleted)"),
        token.by,
        relative(token.created_at, now),
        relative(token.last_used_at, now) or "never",
        _state(token, now),
        str(token.id),
    )


def _state(token: Token, now: Instant) -> str:
    if token.revoked_at:
        return f"revoked {relative(token.revoked_at, now)}"
    if token.expires_at is None:
        return "good"
    return f"{'good, expires' if token.good(now) else 'expired'} {relative(token.expires_at, now)}"
