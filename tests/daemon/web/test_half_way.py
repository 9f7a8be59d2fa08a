"""The database goes away in the middle of a request: what is told is what was done, once."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from daemon.store.answers import Answers
from daemon.store.engine import dispose, make_engine, transaction
from daemon.web import keeper, once
from reconciler.model import ClientId
from reconciler.verdicts import StoreError
from tests.daemon.web.conftest import KEY, Office
from tests.proxy import Proxy

pytestmark = pytest.mark.anyio
ONCE = {"Idempotency-Key": "once"}


@dataclass
class Line:
    """An API whose line to the database can fail; *engine* is another line."""

    proxy: Proxy
    office: Office
    web: httpx.AsyncClient
    engine: AsyncEngine

    async def once_sent(self, *words: bytes, then: Callable[[], None]) -> None:
        """Do it when each of *words* was on its way, in that order, on a new connection."""
        await dispose(self.office.engine)
        left = list(words)

        def overhear(said: bytes) -> None:
            if left and left[0] in said:
                left.pop(0)
                if not left:
                    then()

        self.proxy.overhear = overhear

    async def count(self, table: str) -> int:
        async with transaction(self.engine) as connection:
            return int(
                (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
            )


@pytest.fixture
async def line(
    postgres: Server, engine: AsyncEngine, office: Office, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Line]:
    monkeypatch.setattr(keeper, "_AFTERWARDS", 0.2)
    monkeypatch.setattr(once, "_PATIENCE", 0.2)
    url = make_url(str(engine.url))
    async with Proxy(postgres.socket / ".s.PGSQL.5432").running() as proxy:
        failing = make_engine(
            f"postgresql://{url.username}@127.0.0.1:{proxy.port}/{url.database}?sslmode=disable"
        )
        there = Office(failing, office.keyring)
        async with there.web(await office.token()) as web:
            yield Line(proxy, there, web, engine)
        proxy.overhear = lambda _: None
        proxy.let_go()
        await there.enquiries.close()
        await dispose(failing)


def path(client: ClientId) -> str:
    return f"/api/admin/clients/{client}/api-keys?wait=0.2"


STORED = b"INSERT INTO public.exchange_api_keys", b"COMMIT"
ANYTHING = b""
LOOKED_AT = *STORED, ANYTHING


def fail() -> None:
    raise OSError


async def test_a_key_that_is_stored_is_told_so_though_the_database_hangs(
    line: Line, acme: ClientId
) -> None:
    await line.once_sent(*LOOKED_AT, then=line.proxy.hold)
    said = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert said.status_code == 200, said.text
    told = said.json()
    assert (told["message"], told["key"]) == ("API key added successfully", None)
    assert told["trading_bridge_warning"].startswith("The key is saved, and applied by itself; ")
    assert "Nothing was changed" not in said.text
    line.proxy.let_go()
    again = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert again.status_code == 409
    assert "was carried out, and its answer is not there yet or was lost" in again.text
    assert await line.count("public.exchange_api_keys") == 1


async def test_a_line_that_breaks_after_a_key_was_stored_is_no_failure(
    line: Line, acme: ClientId
) -> None:
    await line.once_sent(*LOOKED_AT, then=fail)
    said = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert (said.status_code, said.json()["key"]["phase"]) == (200, "pending")
    again = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (said.json(), "true")
    assert await line.count("public.exchange_api_keys") == 1


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_commit_of_which_nothing_was_heard_is_not_called_undone_nor_done_twice(
    line: Line, acme: ClientId, *, arrives: bool
) -> None:
    await line.once_sent(*STORED, then=line.proxy.hang_up if arrives else fail)
    said = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert (said.status_code, said.json()["code"]) == (503, "database_unavailable")
    assert "it may have been carried out. Look before you repeat it" in said.json()["detail"]
    again = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert again.status_code == (409 if arrives else 200), again.text
    assert await line.count("public.exchange_api_keys") == 1


async def test_what_broke_off_before_its_commit_changed_nothing_and_is_done_at_the_next_try(
    line: Line, acme: ClientId
) -> None:
    await line.once_sent(STORED[0], then=fail)
    said = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert "Nothing was changed; try again." in said.text
    assert (await line.web.post(path(acme), json=KEY, headers=ONCE)).status_code == 200
    assert await line.count("public.exchange_api_keys") == 1


async def test_a_request_that_died_is_carried_out_by_its_repetition_after_a_while(
    line: Line, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise StoreError

    monkeypatch.setattr(Answers, "drop", dies)
    await line.once_sent(STORED[0], then=fail)
    assert (await line.web.post(path(acme), json=KEY, headers=ONCE)).status_code == 503
    again = await line.web.post(path(acme), json=KEY, headers=ONCE)
    assert (again.status_code, "under way still" in again.text) == (409, True)
    async with transaction(line.engine) as connection:
        await connection.execute(
            text("UPDATE bridgetender.answers SET at = at - interval '10 minutes'")
        )
    assert (await line.web.post(path(acme), json=KEY, headers=ONCE)).status_code == 200
    assert await line.count("public.exchange_api_keys") == 1


@pytest.mark.parametrize(
    ("method", "of", "body", "told"),
    [
        ("PATCH", "api-keys/{key}?wait=0", {"label": "new"}, "Changed: label"),
        ("PATCH", "api-keys/{key}?wait=0", {"is_active": False}, "Changed: is_active"),
        ("POST", "clients/{client}/reinitialize?wait=0", None, "1 active key(s) are initialized"),
        ("POST", "clients", {"name": "New"}, "client_new"),
        ("PATCH", "clients/{client}", {"name": "New", "status": "PAUSED"}, '"PAUSED"'),
        ("DELETE", "api-keys/{key}", None, "API key deleted"),
        ("DELETE", "clients/{client}", None, "with 1 key(s)"),
    ],
)
async def test_whatever_was_committed_is_told_as_done(
    line: Line, acme: ClientId, method: str, of: str, body: object, told: str
) -> None:
    key = (await line.web.post(path(acme), json=KEY)).json()["id"]
    await line.once_sent(
        b"INSERT INTO bridgetender.audit", b"COMMIT", ANYTHING, then=line.proxy.hold
    )
    url = f"/api/admin/{of.format(client=acme, key=key)}"
    said = await line.web.request(method, url, json=body)
    assert said.status_code in (200, 201), said.text
    assert told in said.text
