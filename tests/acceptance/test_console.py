"""The console in a real browser, before a real daemon, bridge and paper exchange."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from playwright.async_api import BrowserContext, Error, Page, Response, async_playwright, expect

from daemon.store.audit import NOBODY
from daemon.store.tokens import Tokens
from daemon.tokens import digest_of, new_token
from tests.acceptance.firm import Firm, Issued, Site, issue
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
        context = await started.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield context
        await started.close()


async def add(page: Page, exchange: str, issued: Issued) -> None:
    form = page.locator("#add-key")
    await form.get_by_role("combobox", name="Exchange").fill(exchange)
    await form.get_by_role("textbox", name="API key").fill(issued.api_key)
    await form.get_by_role("textbox", name="API secret").fill(issued.api_secret)
    if issued.passphrase:
        await form.get_by_role("textbox", name="Passphrase").fill(issued.passphrase)
    await form.get_by_role("button", name="Add key").click()


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
    await page.goto(f"{api}/console")
    await page.get_by_label("Your token").fill(token.reveal())
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#outlook h1")).to_have_text("There is no active key yet.")
    await page.get_by_role("link", name="Add a client").click()
    await page.get_by_label("Name", exact=True).fill("Acme Capital")
    await page.get_by_role("button", name="Add client").click()

    # A key is added and goes live; another page that was open shows it without being loaded anew.
    right, wrong = issue("binance"), issue("kraken")
    firm.secrets |= {*right.plain(), *wrong.plain()}
    await firm.issue_on_paper("binance", right, USDT="12500")
    overview = await browser.new_page()
    await overview.goto(f"{api}/console")
    await overview.evaluate("window.neverLoadedAnew = true")
    await add(page, "binance", right)
    await expect(page.locator("#keys .phase")).to_have_text("live")
    await expect(page.locator("#statement")).to_contain_text("12500")
    words = "All is well: all 1 active keys are live."
    await expect(overview.locator("#outlook h1")).to_have_text(words)

    # A wrong key is saved and explained; verified first, it is not even saved.
    await add(page, "kraken", wrong)
    await expect(page.locator("#keys")).to_contain_text("the exchange refuses these credentials")
    await expect(overview.locator("#outlook")).to_contain_text("1 key is parked")
    form = page.locator("#add-key")

    async def exchanges_known() -> bool:  # a bridge that has just begun takes a while to tell
        await page.reload()
        return await page.locator("#exchanges option").count() > 0

    await firm.until(exchanges_known)
    await expect(form.get_by_label("Passphrase")).to_be_visible()
    await form.get_by_role("combobox", name="Exchange").fill("kraken")
    await expect(form.get_by_label("Passphrase")).to_be_hidden()
    await page.get_by_label("Verify first").check()
    await add(page, "okx", Issued(wrong.api_key, wrong.api_secret, "pass"))
    await expect(page.locator(".said.wrong").first).to_contain_text("Nothing was saved.")

    # Reinitialize asks first where it replaces what trades.
    tried = await firm.attempts()
    row = page.locator("#keys tr", has_text="binance")
    await row.get_by_text("Reinitialize…").click()
    await expect(row).to_contain_text("replaces the connector that trades now")
    await row.get_by_role("button", name="Replace what trades").click()
    await expect(page.locator(".said").first).to_contain_text("Reinitialized.")
    assert await firm.attempts() > tried

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
