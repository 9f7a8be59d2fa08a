"""The console without a browser: sessions, forms, pages, and what no page may say or load."""

import re
from datetime import timedelta

import httpx
import pytest

from daemon.store.audit import NOBODY, Actor
from daemon.store.people import People
from daemon.store.tokens import Tokens
from daemon.web.sessions import COOKIE
from reconciler.model import ClientId
from tests.daemon.web.conftest import API_KEY, API_SECRET, CANARIES, Office, logged_in, word_of

pytestmark = pytest.mark.anyio
FORM = {"exchange": "binance", "api_key": API_KEY, "api_secret": API_SECRET}
FOREIGN = r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|https?://"
ROTATED = {"api_key": "brand-new-key-123", "api_secret": "brand-new-secret"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


async def test_a_token_opens_a_session_and_is_not_in_the_cookie(office: Office) -> None:
    token = await office.token()
    async with office.web() as web:
        sent_away = await web.get("/console/keys?q=acme")
        assert sent_away.headers["location"] == "/console/login?next=%2Fconsole%2Fkeys%3Fq%3Dacme"
        form = {"token": token.reveal(), "next": "/console/keys?q=acme"}
        answer = await web.post("/console/login", data=form)
        cookie = answer.headers["set-cookie"]
        assert answer.headers["location"] == "/console/keys?q=acme"
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert token.reveal() not in cookie
        assert (await web.get("/console")).status_code == 200


async def test_the_cookie_is_for_https_alone_where_the_console_is(office: Office) -> None:
    token = await office.token()
    async with office.web() as web:
        answer = await web.post(
            "https://bridgetender/console/login", data={"token": token.reveal()}
        )
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("elsewhere", ["https://evil.test/", "//evil.test", "/console/../\\x", ""])
async def test_nobody_is_sent_elsewhere_after_the_login(office: Office, elsewhere: str) -> None:
    token = await office.token()
    async with office.web() as web:
        form = {"token": token.reveal(), "next": elsewhere}
        answer = await web.post("/console/login", data=form)
    assert answer.headers["location"] == "/console"


async def test_wrong_tokens_are_told_to_wait_at_the_login_and_a_valid_one_comes_in(
    office: Office,
) -> None:
    good, office.gate.failures.every = await office.token(), 3_600
    async with office.web() as web:
        answers = [await web.post("/console/login", data={"token": "bt_no"}) for _ in range(11)]
        entered = await web.post("/console/login", data={"token": good.reveal()})
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert "wrong, revoked or has expired" in answers[0].text
    assert "wait before you try another" in answers[-1].text
    assert (entered.status_code, COOKIE in entered.cookies) == (303, True)


async def test_a_session_ends_with_its_token_its_time_and_its_logout(office: Office) -> None:
    async with logged_in(office) as web:
        cookie = web.cookies[COOKIE]
        office.clock.ahead = timedelta(hours=12, seconds=1)
        assert (await web.get("/console")).status_code == 303
        office.clock.ahead = timedelta()
        assert (await web.get("/console")).status_code == 200
        await Tokens(office.engine).revoke("admin for tests", NOBODY)
        assert (await web.post("/console/reinitialize")).status_code == 401
        office.gate.forget()
        assert (await web.get("/console")).status_code == 303
    async with logged_in(office) as web:
        assert (await web.post("/console/logout")).status_code == 303
        assert COOKIE not in web.cookies
    assert cookie


async def test_a_copied_cookie_is_good_for_nothing_after_the_logout_in_any_replica(
    office: Office,
) -> None:
    token = await office.token()
    other = Office(office.engine, office.keyring)
    async with office.web() as web, office.web() as again, other.web() as elsewhere:
        await web.post("/console/login", data={"token": token.reveal()})
        elsewhere.cookies.set(COOKIE, web.cookies[COOKIE])
        copied = {"Cookie": f"{COOKIE}={web.cookies[COOKIE]}"}
        assert (await elsewhere.get("/console")).status_code == 200
        page = await web.get("/console")
        await web.post("/console/logout", headers={"x-csrf-token": word_of(page)})
        other.gate.forget()  # as it does when it hears of it
        assert (await again.get("/console", headers=copied)).status_code == 303
        assert (await elsewhere.get("/console")).status_code == 303
        await again.post("/console/login", data={"token": token.reveal()})
        assert (await again.get("/console")).status_code == 200


@pytest.mark.parametrize("cookie", ["x", "gAAAAAB", '"', "%00"])
async def test_a_cookie_that_was_not_sealed_here_opens_nothing(office: Office, cookie: str) -> None:
    async with office.web(cookies={COOKIE: cookie}) as web:
        assert (await web.get("/console")).status_code == 303


async def test_what_else_the_keyring_sealed_is_no_session(office: Office) -> None:
    token = await office.token()
    async with office.web(cookies={COOKIE: office.keyring.seal(token)}) as web:
        assert (await web.get("/console")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"x-csrf-token": ""},
        {"x-csrf-token": "another"},
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_a_form_from_elsewhere_does_nothing(
    console: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    data = {"name": "Evil"}
    answer = await console.post("/console/clients", data=data, headers=headers)
    assert answer.status_code == 403
    assert "Evil" not in (await console.get("/console/clients")).text


async def test_the_word_of_another_session_is_of_no_use(office: Office) -> None:
    async with logged_in(office) as one, logged_in(office, "viewer") as other:
        one.headers["x-csrf-token"] = other.headers["x-csrf-token"]
        assert (await one.post("/console/clients", data={"name": "Evil"})).status_code == 403


async def test_every_page_forbids_what_is_not_its_own(
    console: httpx.AsyncClient, acme: ClientId
) -> None:
    for path in ("/console", "/console/keys", "/console/clients", f"/console/clients/{acme}"):
        page = await console.get(path)
        assert page.status_code == 200
        assert page.headers["content-security-policy"] == POLICY
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(
            r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|https?://", page.text
        )


async def test_a_key_is_added_and_the_next_page_says_what_came_of_it(
    console: httpx.AsyncClient, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    answer = await console.post(f"/console/clients/{acme}/keys", data=FORM | {"label": "desk"})
    assert answer.status_code == 303
    page = (await console.get(answer.headers["location"])).text
    assert "Trading Bridge connector initialization failed: it has not ended yet" in page
    assert "cana…-yek" in page
    again = (await console.get(answer.headers["location"])).text
    assert "initialization failed" not in again


async def test_a_key_that_would_take_anothers_place_is_asked_about_first(
    console: httpx.AsyncClient, office: Office, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    here, other = f"/console/clients/{acme}/keys", FORM | {"exchange": "Binance", "label": "new"}
    await console.post(here, data=FORM | {"label": "old"})
    for sure in ("", "another"):
        asked = await console.post(here, data=other | {"sure": sure})
        assert asked.status_code == 409
        assert "a key for binance already: cana…-yek (old), pending" in asked.text
        assert 'name="label" value="new"' in asked.text
        assert len(await People(office.engine).keys(acme)) == 1
    await console.post(here, data=FORM | {"is_testnet": "true"})  # a place of its own
    (old, _) = await People(office.engine).keys(acme)
    answer = await console.post(here, data=other | {"sure": str(old.id)})
    assert answer.status_code == 303
    assert len(await People(office.engine).keys(acme)) == 3
    await console.post(f"/console/keys/{old.id}/active", data={"active": "false"})
    page = (await console.get(f"/console/keys/{old.id}")).text
    assert "Of the two, the newer one is used." in page


async def test_a_client_is_renamed_and_asked_about_first_where_its_keys_move(
    console: httpx.AsyncClient, office: Office, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    people, here = People(office.engine), f"/console/clients/{acme}"
    await people.add_client("Birch")

    async def say(words: str, **form: str) -> int:
        answer = await console.post(here, data=form)
        told = answer if answer.status_code == 409 else await console.get(here)
        assert words in told.text, told.text
        return answer.status_code

    assert await say("Nothing changed", name="Acme Capital", account="") == 303
    assert await say("account client_acme.", name="Acme", account="") == 303
    await console.post(f"{here}/keys", data=FORM)
    assert (
        await say("Its active key moves to the account &#39;acme&#39;", name="Acme", account="acme")
        == 409
    )
    assert await say("is that of the client &#39;Birch&#39;, too", name="birch", account="") == 409
    assert (await people.by_id(acme)).account == "client_acme"
    sure = {"account": "acme", "sure": "acme"}
    assert await say("the client is Acme, its account acme.", name="Acme", **sure) == 303
    assert (
        await say("the client is Acme 2, its account acme.", name="Acme 2", account="acme") == 303
    )
    assert await say("Nothing was saved. account: use letters", name="Acme", account="../x") == 303
    assert await say("Nothing was saved. name: is empty", name="", account="acme") == 303


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"api_key": ""}, "api_key: is empty"),
        ({"exchange": "<b>"}, "exchange: use the exchange&#39;s id"),
        ({"api_secret": "a b"}, "api_secret: holds a blank"),
        ({"label": "<script>alert(1)</script>"}, "label: holds a line break"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_saved(
    console: httpx.AsyncClient, acme: ClientId, wrong: dict[str, str], words: str
) -> None:
    answer = await console.post(f"/console/clients/{acme}/keys", data=FORM | wrong)
    page = (await console.get(answer.headers["location"])).text
    assert words in page
    assert "Nothing was saved" in page
    assert "<script>alert" not in page
    assert "This client has no key yet" in page


async def test_a_viewer_sees_everything_and_has_no_buttons(
    office: Office, console: httpx.AsyncClient, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    await console.post(f"/console/clients/{acme}/keys", data=FORM)
    async with logged_in(office, "viewer") as web:
        for path in ("/console", "/console/keys", "/console/clients", f"/console/clients/{acme}"):
            page = (await web.get(path)).text
            forms = re.findall(r'<form method="post" action="([^"]+)"', page)
            assert forms == ["/console/logout"], path


async def test_a_client_sees_its_own_balances_and_nothing_else(
    office: Office, acme: ClientId
) -> None:
    async with logged_in(office, "client", client_id=acme) as web:
        mine = await web.get("/console/mine")
        assert "Balances of Acme Capital" in mine.text
        assert "There is no active key, so there are no balances to show." in mine.text
        assert (await web.get(f"/console/clients/{acme}")).status_code == 403


async def test_a_key_is_rotated_labelled_disabled_paused_reinitialized_and_deleted(
    console: httpx.AsyncClient,
    office: Office,
    acme: ClientId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    await console.post(f"/console/clients/{acme}/keys", data=FORM)
    (key,) = await People(office.engine).keys(acme)
    here = f"/console/keys/{key.id}"
    for deed, data, words in [
        ("/label", {"label": "desk 9"}, "desk 9"),
        (
            "/rotate",
            {"api_key": "brand-new-key-123", "api_secret": "brand-new-secret"},
            "bran…-123",
        ),
        ("/rotate", {}, "Missing: api_key, api_secret."),
        ("/active", {"active": "false"}, "the key is disabled"),
        ("/active", {"active": "false"}, "Nothing changed: it was so before."),
        ("/active", {"active": "true"}, "Saved. The key is pending"),
        ("/reinitialize", {}, "Reinitialized."),
    ]:
        answer = await console.post(here + deed, data=data)
        assert answer.status_code == 303
        assert words in (await console.get(answer.headers["location"])).text, deed
    pause = {"scope": "key", "id": str(key.id), "reason": "lunch", "back": here}
    await console.post("/console/pauses", data=pause)
    office.roster.touch()
    answer = await console.post("/console/pauses/end", data=pause)
    assert "Resumed." in (await console.get(answer.headers["location"])).text
    answer = await console.post(here + "/delete")
    assert "Key deleted" in (await console.get(answer.headers["location"])).text
    assert not await People(office.engine).keys(acme)


async def test_who_watches_a_page_that_has_not_changed_is_told_so_at_no_cost(
    console: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    for path in ("/console", "/console/keys", f"/console/clients/{acme}"):
        page = await console.get(path)
        headers = {"if-none-match": page.headers["etag"], "x-live": "1"}
        assert (await console.get(path, headers=headers)).status_code == 304
    await People(office.engine, Actor("x")).add_client("Another")


async def test_a_page_that_is_not_there_is_told_by_a_page(console: httpx.AsyncClient) -> None:
    page = await console.get("/console/keys/00000000-0000-0000-0000-000000000000")
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert not [secret for secret in CANARIES if secret in page.text]


async def test_an_address_that_nothing_is_at_is_told_by_a_page_to_people_alone(
    console: httpx.AsyncClient,
) -> None:
    page, api = await console.get("/console/nothing"), await console.get("/api/nothing")
    assert (page.status_code, api.status_code) == (404, 404)
    assert "There is no such thing" in page.text
    assert page.headers["content-type"].startswith("text/html")
    assert api.json()["code"] == "not_found"


@pytest.mark.usefixtures("acme")
async def test_a_client_that_meets_anothers_account_is_warned_of_when_it_is_added(
    console: httpx.AsyncClient,
) -> None:
    form = {"name": "ACME capital"}
    added = await console.post("/console/clients", data=form, follow_redirects=True)
    assert "is that of the client &#39;Acme Capital&#39;, too" in added.text


async def test_the_form_that_narrows_the_list_of_keys_to_nothing_special_shows_all(
    office: Office, console: httpx.AsyncClient, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    await console.post(f"/console/clients/{acme}/keys", data=FORM)
    await office.roster.anew()
    for words, shown in (("", 1), ("acme", 1), ("birch", 0)):
        form = {"q": words, "phase": "", "exchange": "", "sort": "exchange", "order": "desc"}
        page = await console.get("/console/keys", params=form)
        assert page.text.count('data-of="Client"') == shown
        assert '<option value="exchange" selected>' in page.text
