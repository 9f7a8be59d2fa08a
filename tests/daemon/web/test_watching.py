"""Pages that are open: many who look cost what one costs, and who acts sees what came of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from daemon.store.audit import NOBODY, Actor
from daemon.store.pauses import Pauses, Subject
from daemon.store.people import People, SealedEntry
from reconciler.model import ClientId, KeyId, Phase, Reason, Secret
from tests.daemon.cli.conftest import Daemon
from tests.daemon.web.conftest import Office, logged_in

pytestmark = pytest.mark.anyio


@contextmanager
def questions(office: Office) -> Iterator[list[object]]:
    """Collect the connections that are taken to ask the database something meanwhile."""
    asked: list[object] = []

    def hear(_: Any, record: object, __: Any) -> None:
        asked.append(record)

    engine = office.engine.sync_engine
    event.listen(engine, "checkout", hear)
    yield asked
    event.remove(engine, "checkout", hear)


async def stored(office: Office, client: ClientId) -> KeyId:
    key, secret = (office.keyring.seal(Secret(text)) for text in ("a-key", "a-secret"))
    return await People(office.engine).add_key(client, SealedEntry("binance", key, secret))


async def test_many_who_watch_a_page_cost_as_many_queries_as_one(
    console: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    daemon = Daemon(office.engine)
    key = await stored(office, acme)
    await daemon.hold()
    here = f"/console/clients/{acme}"
    paths = ["/console", "/console/keys", "/console/clients", here, f"{here}/balances"]
    paths += [f"/console/keys/{key}", "/console/history"]
    for number, path in enumerate(paths):
        costs = []
        for watchers in (1, 30):
            old = (await console.get(path, headers={"x-live": "1"})).headers.get("etag", "")
            await daemon.write(key, Phase.RETRYING, Reason.UNCLEAR, message=f"{number} {watchers}")
            await office.roster.anew()
            with questions(office) as asked:
                headers = {"x-live": "1", "if-none-match": old}
                pages = [console.get(path, headers=headers) for _ in range(watchers)]
                answers = await asyncio.gather(*pages)
            assert {answer.status_code for answer in answers} == {200}
            costs.append(len(asked))
        assert costs[0] == costs[1], path


async def test_what_has_changed_is_in_the_page_that_is_watched(
    console: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    headers = {"x-live": "1"}
    for path, name in (("/console/clients", "Birch"), (f"/console/clients/{acme}", "Acme Fund")):
        headers["if-none-match"] = (await console.get(path)).headers["etag"]
        assert (await console.get(path, headers=headers)).status_code == 304
        if path == "/console/clients":
            await People(office.engine, Actor("x")).add_client(name)
        else:
            await People(office.engine, NOBODY).refile(acme, None, name)
        await office.roster.anew()
        page = await console.get(path, headers=headers)
        assert (page.status_code, name in page.text) == (200, True)


async def test_what_concerns_others_changes_no_page_about_a_client(
    console: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    key, pauses = await stored(office, acme), Pauses(office.engine, Actor("x"))
    birch = await People(office.engine, Actor("x")).add_client("Birch")
    paths = [f"/console/clients/{acme}", f"/console/keys/{key}"]
    await office.roster.anew()
    tags = {path: (await console.get(path)).headers["etag"] for path in paths}
    for subject, status in ((Subject("client", str(birch)), 304), (Subject("key", str(key)), 200)):
        await pauses.begin(subject, "x", "audit")
        await office.roster.anew()
        for path, tag in tags.items():
            headers = {"x-live": "1", "if-none-match": tag}
            assert (await console.get(path, headers=headers)).status_code == status, path


async def test_what_concerns_all_costs_no_query_for_each_page_that_is_open(
    console: httpx.AsyncClient, office: Office
) -> None:
    people, daemon = People(office.engine, Actor("x")), Daemon(office.engine)
    paths = []
    for number in range(10):
        client = await people.add_client(f"Client {number}")
        key = await stored(office, client)
        paths += [f"/console/clients/{client}", f"/console/keys/{key}"]
    await daemon.hold()
    await office.roster.anew()
    tags = {path: (await seen(console, path, ""))[1] for path in paths}

    async def away() -> None:
        await daemon.hold(up=False, reason="connection refused")

    async def paused() -> None:
        await Pauses(office.engine, Actor("x")).begin(Subject("all"), "x", "audit")

    for happens, words in ((away, "connection refused"), (paused, "audit")):
        await happens()
        await office.roster.anew()
        with questions(office) as asked:
            pages = {path: await seen(console, path, tag) for path, tag in tags.items()}
        assert all(words in page for page, _ in pages.values())
        assert len(asked) < len(paths) / 2
        tags = {path: tag for path, (_, tag) in pages.items()}


async def seen(console: httpx.AsyncClient, path: str, tag: str) -> tuple[str, str]:
    """Return what a page that is open shows anew, and its tag."""
    answer = await console.get(path, headers={"x-live": "1", "if-none-match": tag})
    assert answer.status_code == 200
    return answer.text, answer.headers["etag"]


async def test_who_does_something_sees_on_the_next_page_what_came_of_it(
    acme: ClientId, console: httpx.AsyncClient
) -> None:
    assert "Acme Capital" in (await console.get("/console/clients")).text
    pause = {"scope": "client", "id": str(acme), "reason": "audit", "back": "/console"}
    answer = await console.post("/console/pauses", data=pause)
    assert "client Acme Capital" in (await console.get(answer.headers["location"])).text
    answer = await console.post(f"/console/clients/{acme}/delete")
    page = (await console.get(answer.headers["location"])).text
    assert "There is no client yet." in page


async def test_a_client_in_the_list_says_how_its_keys_are(office: Office, acme: ClientId) -> None:
    daemon = Daemon(office.engine)
    key = await stored(office, acme)
    await daemon.hold()
    async with logged_in(office, "viewer") as console:
        for phase, reason, words in [
            (Phase.RETRYING, Reason.UNCLEAR, "0 of 1 live<"),
            (Phase.PARKED, Reason.REFUSED, "0 of 1 live, 1 needs you<"),
            (Phase.LIVE, Reason.APPLIED, "1 of 1 live<"),
        ]:
            await daemon.write(key, phase, reason)
            await office.roster.anew()
            assert words in (await console.get("/console/clients")).text
