"""What people and scripts need to come into the demo: tokens, and credentials to add keys by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from daemon.embedded.stage import Stage
from daemon.store.audit import NOBODY
from daemon.store.people import Client, People
from daemon.store.tokens import Tokens
from daemon.tokens import Role, digest_of, new_token
from reconciler.model import Secret

Credentials = Mapping[str, str]
"""`api_key`, `api_secret` and where the exchange has one `password`, in plain text."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """An admin's token, each client with its own, and *spare* credentials by exchange."""

    admin: Secret
    clients: tuple[tuple[Client, Secret], ...]
    spare: Mapping[str, Credentials] = field(repr=False)

    def as_dict(self, stage: Stage) -> dict[str, object]:
        """Return what a script is told, secrets and all, with where everything listens."""
        clients = [
            {"id": str(client.id), "name": client.name, "token": token.reveal()}
            for client, token in self.clients
        ]
        return {
            "api": stage.addresses["api"],
            "health": stage.addresses["daemon"],
            "bridge": stage.bridge_url,
            "bridge_pid": stage.children["bridge"].pid,
            "bridge_pid_file": str(stage.pid_file("bridge")),
            "paper": stage.addresses["paper"],
            "admin_token": self.admin.reveal(),
            "clients": clients,
            "spare_credentials": {name: _told(each) for name, each in self.spare.items()},
        }


async def welcome(stage: Stage, clients: list[str], spare: Mapping[str, Credentials]) -> Welcome:
    """Make a token for an admin and for each of the *clients*; let the exchanges know *spare*."""
    async with httpx.AsyncClient(base_url=stage.addresses["paper"]) as paper:
        for exchange, credentials in spare.items():
            account = {**credentials, "exchange": exchange, "balances": {"USDT": "5000"}}
            (await paper.post("/_paper/credentials", json=account)).raise_for_status()
    admin = await _token(stage, "demo", "admin")
    known = {client.name: client for client in await People(stage.engine).clients()}
    found = [known[name] for name in clients]
    tokens = [await _token(stage, each.name, "client", each) for each in found]
    return Welcome(admin, tuple(zip(found, tokens, strict=True)), spare)


async def _token(stage: Stage, name: str, role: Role, client: Client | None = None) -> Secret:
    made = new_token()
    whose = client.id if client else None
    await Tokens(stage.engine).create(name, role, digest_of(made), NOBODY, client_id=whose)
    return made


def _told(credentials: Credentials) -> dict[str, str]:
    """Return *credentials* as the API calls them."""
    return {("passphrase" if k == "password" else k): v for k, v in credentials.items()}
