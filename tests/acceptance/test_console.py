"""The console in a real browser, before a real daemon, bridge and paper exchange."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import pytest
from playwright.async_api import (
    BrowserContext,
    Error,
    Locator,
    Page,
    Response,
    ViewportSize,
    async_playwright,
    expect,
)

from daemon.store.audit import NOBODY
from daemon.store.pauses import Pauses, Subject
from daemon.store.people import SealedEntry
from daemon.store.tokens import Tokens
from daemon.tokens import digest_of, new_token
from reconciler.model import ClientId, KeyId, Secret
from tests.acceptance.audit import by_keyboard, faults
from tests.acceptance.firm import MARK, Firm, Issued, Site, issue
from tests.conftest import installed

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=360, height=740)
PATIENCE = 30_000
"""Milliseconds after which a test gives up on what a page should say."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Playwright starts a process, and uvloop's children want their own watcher


@pytest.fixture
async def browser() -> AsyncIterator[BrowserContext]:
    program = installed("chromium", package="chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        context = await started.new_context(viewport=WIDE, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield context
        await started.close()


async def fill(page: Page, exchange: str, issued: Issued) -> None:
    """Fill in the form that adds a key."""
    if not await page.locator("#add").evaluate("each => each.open"):
        await page.locator("#add summary").click()
    form = page.locator("#add-key")
    await form.get_by_role("combobox", name="Exchange").fill(exchange)
    await form.get_by_role("textbox", name="API key").fill(issued.api_key)
    await form.get_by_role("textbox", name="API secret").fill(issued.api_secret)
    if issued.passphrase:
        await form.get_by_role("textbox", name="Passphrase").fill(issued.passphrase)


async def add(page: Page, exchange: str, issued: Issued) -> None:
    await fill(page, exchange, issued)
    await page.get_by_role("button", name="Add key").click()


async def tab_to(page: Page, control: Locator) -> None:
    """Go on to a control as whoever has no mouse does."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await control.evaluate("each => each === document.activeElement"):
            return
    pytest.fail(f"no number of Tabs leads to {control}")


async def add_by_keyboard(page: Page, exchange: str, issued: Issued) -> None:
    if not await page.locator("#add").evaluate("each => each.open"):
        await tab_to(page, page.locator("#add summary"))
        await page.keyboard.press("Enter")
    form = page.locator("#add-key")
    for control, text in (
        (form.get_by_role("combobox", name="Exchange"), exchange),
        (form.get_by_role("textbox", name="API key"), issued.api_key),
        (form.get_by_role("textbox", name="API secret"), issued.api_secret),
    ):
        await tab_to(page, control)
        await page.keyboard.type(text)
    await tab_to(page, form.get_by_role("button", name="Add key"))
    await page.keyboard.press("Enter")


async def looked_over(page: Page, *paths: str) -> list[str]:
    """Return what is wrong with pages for whoever uses them otherwise than by mouse and eye."""
    found = []
    for scheme, size in (("light", WIDE), ("dark", NARROW)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
        await page.set_viewport_size(size)
        for path in paths:
            await page.goto(path)
            found += [*await faults(page), *await by_keyboard(page)]
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(WIDE)
    return found


async def balances_that_are_old_say_so(
    site: Site, browser: BrowserContext, whose: ClientId
) -> None:
    """A client looks at its balances while its line is cut, and when its token is revoked."""
    token, now = new_token(), "() => document.dispatchEvent(new Event('visibilitychange'))"
    tokens = Tokens(site.engine)
    await tokens.create("Acme", "client", digest_of(token), NOBODY, client_id=whose)
    assert browser.browser
    theirs = await browser.browser.new_context(viewport=NARROW, reduced_motion="reduce")
    page = await theirs.new_page()
    await page.goto(f"{site.addresses['api']}/console")
    await page.get_by_label("Your token").fill(token.reveal())
    await page.get_by_role("button", name="Log in").click()
    line, balances = page.locator("#line"), page.locator("#balances")
    await expect(line).to_have_text("live")
    await expect(balances).not_to_have_class("old")
    await theirs.set_offline(True)
    await page.evaluate(now)  # rather than in ten seconds
    await expect(page.locator("#doubt")).to_contain_text(
        re.compile(r"Bridgetender is out of reach: these balances are old, from \d+ s ago")
    )
    await expect(line).to_have_text("Bridgetender is out of reach")
    await expect(balances).to_have_class("old")
    await theirs.set_offline(False)
    await page.evaluate(now)
    await expect(page.locator("#doubt")).to_be_hidden()
    await expect(line).to_have_text("live")
    told = balances.locator("time[data-age]")
    first = await told.text_content()
    await expect(told).not_to_have_text(first or "")  # it is counted
    await tokens.revoke("Acme", NOBODY)
    await expect(page.get_by_label("Your token")).to_be_visible()
    await theirs.close()


async def whatever_is_named_fits(site: Site, firm: Firm, page: Page) -> None:
    """Look at names without a blank on a phone and on a desk; and sort on the phone."""
    named, seal = await firm.people.add_client("n" * 190), firm.keyring.seal
    nothing = seal(Secret(MARK))
    entry = SealedEntry("binance", nothing, nothing, label="l" * 255, is_active=False)
    key = await firm.people.add_key(named, entry)
    await Pauses(site.engine).begin(Subject("key", str(key)), "n", "w" * 255)
    api = site.addresses["api"]
    for size in (WIDE, NARROW):
        await page.set_viewport_size(size)
        for path in ("", "/keys", "/clients", f"/clients/{named}", f"/keys/{key}", "/history"):
            await page.goto(f"{api}/console{path}")
            over = "document.documentElement.scrollWidth - innerWidth"
            assert await page.evaluate(over) <= 0, (size, path)
            tables = "[...document.querySelectorAll('.wide')]"
            over = f"Math.max(0, ...{tables}.map((t) => t.scrollWidth - t.clientWidth))"
            assert await page.evaluate(over) <= 0, (size, path)
    await page.goto(f"{api}/console/keys")
    await expect(page.locator("thead a").first).to_be_hidden()
    await page.get_by_label("Sort by").select_option("Exchange")
    await page.get_by_label("Order").select_option("descending")
    await page.get_by_role("button", name="Find").click()
    await expect(page.locator("#rows tbody tr").first).to_contain_text("kraken")
    await page.set_viewport_size(WIDE)
    await expect(page.get_by_label("Sort by")).to_be_hidden()
    await firm.people.delete_client(named)


async def test_a_person_looks_after_keys_in_the_console(  # noqa: PLR0915 - one story is told once
    site: Site, firm: Firm, browser: BrowserContext
) -> None:
    """One story, since starting everything takes longest."""
    token = new_token()
    firm.secrets.add(token.reveal())
    await Tokens(site.engine).create("Ada", "admin", digest_of(token), NOBODY)
    await site.start_paper()
    await site.start_bridge()
    await site.start_daemon()
    api, bodies, refused = site.addresses["api"], list[str](), list[str]()
    page = await browser.new_page()

    async def keep(response: Response) -> None:
        if response.request.resource_type in ("document", "fetch") and response.status == 200:
            with suppress(Error):  # the page was left before it was read
                bodies.append(await response.text())

    page.on("console", lambda said: refused.append(said.text) if said.type == "error" else None)
    page.on("response", keep)

    # A token opens the console, and what is shown first is what to do next.
    assert await looked_over(page, f"{api}/console/login") == []
    await page.goto(f"{api}/console")
    await page.get_by_label("Your token").fill(token.reveal())
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#outlook h1")).to_have_text("There is no active key yet.")
    empty = [f"{api}/console{path}" for path in ("", "/keys", "/clients", "/history")]
    assert await looked_over(page, *empty) == []
    await page.goto(empty[0])
    await page.get_by_role("link", name="Add a client").click()
    await page.get_by_label("Name", exact=True).fill("Acme Capital")
    await page.get_by_role("button", name="Add client").click()
    acme = page.url

    # A key is added and goes live; another page that was open shows it without being loaded anew.
    right, wrong = issue("binance"), issue("kraken")
    firm.secrets |= {*right.plain(), *wrong.plain()}
    await firm.issue_on_paper("binance", right, USDT="12500")
    overview = await browser.new_page()
    await overview.goto(f"{api}/console")
    await overview.evaluate("window.neverLoadedAnew = true")
    await page.bring_to_front()
    await add_by_keyboard(page, "binance", right)
    await expect(page.locator("#keys .phase")).to_have_text("live")
    await expect(page.locator("#statement")).to_contain_text("12500")
    words = "All is well: all 1 active keys are live."
    await expect(overview.locator("#outlook h1")).to_have_text(words)

    # A wrong key is saved and explained; verified first, it is not even saved.
    await add(page, "kraken", wrong)
    await expect(page.locator("#keys")).to_contain_text("the exchange refuses these credentials")
    await expect(overview.locator("#outlook")).to_contain_text("1 key is parked")
    await expect(page.locator("#keys")).to_contain_text("press Reinitialize")

    async def exchanges_known() -> bool:  # a bridge that has just begun takes a while to tell
        await page.reload()
        return await page.locator("#exchanges option").count() > 0

    await firm.until(exchanges_known)
    form = page.locator("#add-key")
    await page.locator("#add summary").click()
    exchange = form.get_by_role("combobox", name="Exchange")
    await expect(form.get_by_label("Passphrase")).to_be_visible()
    await exchange.fill("kraken")
    await expect(form.get_by_label("Passphrase")).to_be_hidden()
    await exchange.fill("hyperliquid")
    await expect(form.get_by_label("Wallet address")).to_be_visible()
    await expect(form.get_by_label("Private key")).to_be_visible()
    await exchange.fill("krakn")
    await expect(form).to_contain_text("Which one: kraken")
    await exchange.fill("no such exchange")
    await expect(form).to_contain_text("The bridge has no exchange of this name.")
    await fill(page, "okx", Issued(wrong.api_key, wrong.api_secret, "pass"))
    tried = await firm.attempts()
    await page.get_by_role("button", name="Check, save nothing").click()
    await expect(form.get_by_role("status")).to_contain_text("The exchange refuses these")
    await page.get_by_label("Verify first").check()
    await page.get_by_role("button", name="Add key").click()
    await expect(form.get_by_role("status")).to_contain_text("Nothing was saved.")
    await expect(form.get_by_label("API secret")).to_have_value(wrong.api_secret)
    assert await page.locator("#keys tbody tr").count() == 2
    assert await firm.attempts() == tried

    # Everything can be used by keyboard, by a screen reader, on a phone, in light and in dark.
    await page.goto(acme)
    key = await page.get_by_role("link", name="kraken", exact=True).get_attribute("href")
    assert key
    more = [acme, f"{acme}/balances", f"{api}{key}", f"{empty[1]}?q=nothing-like-it"]
    assert await looked_over(page, *empty, *more) == []
    await page.goto(acme)

    # A key's page is kept fresh, its history, too; so are the lists of clients and events.
    pages = {name: await browser.new_page() for name in (f"{api}{key}", *empty[2:])}
    for address, each in pages.items():
        await each.goto(address)
    await firm.issue_on_paper("kraken", wrong)
    await page.locator("#keys tr", has_text="kraken").get_by_role("button").click()
    ours, clients, history = pages.values()
    await expect(ours.locator("#state .phase")).to_have_text("live")
    await expect(ours.locator("#history tbody tr").first).to_contain_text("live")
    await expect(clients.locator("#rows")).to_contain_text("2 of 2 live")
    await expect(history.locator("#rows tbody tr").first).to_contain_text("kraken")
    for each in pages.values():
        await each.close()

    # Reinitialize asks first where it replaces what trades.
    tried = await firm.attempts()
    row = page.locator("#keys tr", has_text="binance")
    await row.locator("summary").press("Enter")
    await expect(row).to_contain_text("replaces the connector that trades now")
    await page.keyboard.press("Escape")
    await expect(row.get_by_role("button", name="Replace what trades")).to_be_hidden()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".said").first).to_contain_text("Reinitialized.")
    assert await firm.attempts() > tried

    # A key that takes another's place, and a client whose keys move, are asked about first.
    newer = issue("binance")
    firm.secrets |= {*newer.plain()}
    await firm.issue_on_paper("binance", newer, USDT="77")
    await add(page, "binance", newer)
    await expect(form.get_by_role("status")).to_contain_text("a key for binance already")
    await expect(form.get_by_label("API secret")).to_have_value(newer.api_secret)
    await expect(form.get_by_label("Take the place of")).to_be_focused()
    assert await page.locator("#keys tbody tr").count() == 2
    await page.keyboard.press("Space")
    await page.get_by_role("button", name="Add key").click()
    await expect(page.locator("#keys tr", has_text="binance")).to_have_count(2)
    await expect(page.locator("#statement")).to_contain_text("77")
    await page.locator("#refile summary").click()
    await page.locator("#refile").get_by_label("Name", exact=True).fill("Acme & Sons")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#refile").get_by_role("status")).to_contain_text("active keys move")
    await page.get_by_label("File this client under client_acme_&_sons").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("h1")).to_have_text("Acme & Sons")
    await expect(page.locator("#keys .phase.live")).to_have_count(2)

    whose = ClientId(UUID(acme.rpartition("/")[2]))
    await balances_that_are_old_say_so(site, browser, whose)
    await whatever_is_named_fits(site, firm, page)

    # What was deleted elsewhere is not shown as if it were there.
    await page.goto(f"{api}{key}")
    await expect(page.locator("#state .phase")).to_have_text("live")
    await firm.people.delete_key(KeyId(UUID(key.rpartition("/")[2])))
    await expect(page.locator("h1")).to_have_text("This key is not there any more")

    # The bridge is killed: the page tells by itself.
    await site.kill("bridge")
    await expect(overview.locator("#outlook h1")).to_have_class(re.compile("wrong"))
    await expect(overview.locator("#outlook")).to_contain_text("The bridge main does not answer")
    await site.start_bridge()
    await expect(overview.locator("#bridges")).to_contain_text("answers")
    assert await overview.evaluate("window.neverLoadedAnew")

    # Neither another site's form nor markup that slipped in can do anything.
    status = await page.evaluate(
        """() => fetch('/console/reinitialize', {method: 'POST',
        headers: {'Content-Type': 'application/x-www-form-urlencoded'}, body: 'csrf=guessed'})
        .then(answer => answer.status)"""
    )
    assert status == 403
    refused.clear()
    await page.evaluate(
        """() => {
        const script = document.createElement('script');
        script.textContent = 'window.slippedIn = true';
        document.body.append(script);
        }"""
    )
    assert await page.evaluate("window.slippedIn === undefined")
    assert any("Content Security Policy" in said for said in refused)

    # No secret is in a page, an answer, or anything that the browser keeps.
    kept = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    cookies = await browser.cookies()
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in cookies)
    seen = [*bodies, kept, str(cookies), await page.content(), await overview.content()]
    assert len(bodies) > 5
    assert not [secret for secret in firm.secrets if any(secret in text for text in seen)]

    await page.get_by_role("button", name="Log out").click()
    await page.goto(f"{api}/console")
    await expect(page.get_by_label("Your token")).to_be_visible()
