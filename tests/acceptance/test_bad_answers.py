"""A bridge of the story answers nonsense, and is healed: no key lost, none removed, no leak."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from reconciler.model import KeyId, Phase, Reason
from reconciler.slots import account_name
from tests.acceptance.firm import Firm, Site
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import Asked, Raw, Reply, Said, serving, told

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
ADD = "POST", "/connectors/add"
LIST = "GET", "/accounts"
PAGE = Reply(200, b"<html><body>502 Bad Gateway</body></html>", {"Content-Type": "text/html"})
CUT = Raw(b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"success": tr')
EMPTY = told(accounts=[])
CUT_WITHIN = Reply(200, b'{"accounts": [{"name": "client_0", "conn')


class Parrot(StoryBridge):
    """Repeats what it was asked, as FastAPI's own 422 does, while *parrots* is set."""

    parrots = False

    def __call__(self, asked: Asked) -> Said:
        if self.parrots and (asked.method, asked.path) == ADD:
            self.heard.append(asked)
            problem = {"type": "missing", "loc": ["body", "memo"], "input": asked.json()}
            return told(422, detail=[problem, str(asked.json())])
        return super().__call__(asked)


@pytest.fixture
async def story(site: Site) -> AsyncIterator[Parrot]:
    story = Parrot()
    async with serving(story) as site.bridge_url:
        yield story
        await site.stop("daemon")


async def heal_and_converge(firm: Firm, story: Parrot) -> None:
    """Let the bridge be well again, wait, and ask for what must hold after every fault."""
    story.parrots = False
    story.instead.clear()
    await firm.until_live()
    wanted = {key.account: firm.keys[key.key_id].api_key for key in await firm.status.keys()}
    there = {name: held["binance"]["api_key"] for name, held in story.accounts.items()}
    assert there == wanted
    assert all(asked.method != "DELETE" for asked in story.heard)
    sent = [asked.json() for asked in story.requests(*ADD)]
    assert all(each["api_key"] in firm.issued[each["account_name"]] for each in sent)
    await nothing_leaked(firm)


async def nothing_leaked(firm: Firm) -> None:
    said = await firm.ask(
        "SELECT message FROM bridgetender.connectors"
        " UNION ALL SELECT message FROM bridgetender.attempts"
        " UNION ALL SELECT reason FROM bridgetender.bridges"
    )
    texts = [firm.site.logged(), *(text for (text,) in said)]
    assert [s for s in firm.secrets if any(s in text for text in texts)] == []


ADDS: dict[str, Said] = {
    "HTML": PAGE,
    "cut off": CUT,
    "no success": told(200, success=False),
    "no success, in words": told(200, success=False, message="Failed to add connector"),
}
LISTINGS: dict[str, Said] = {
    "HTML": PAGE,
    "cut off": CUT_WITHIN,
    "empty": EMPTY,
}


async def test_keys_wait_while_adds_are_answered_with_nonsense_and_are_live_afterwards(
    site: Site, firm: Firm, story: Parrot
) -> None:
    await site.start_daemon()
    for name, said in ADDS.items():
        story.instead[ADD] = said
        key = await firm.add_key(await firm.add_client(name))
        await firm.until(partial(waits, firm, key, Phase.RETRYING, Reason.UNCLEAR))
        await heal_and_converge(firm, story)


async def test_a_422_that_repeats_the_secrets_parks_the_key_and_tells_nobody(
    site: Site, firm: Firm, story: Parrot
) -> None:
    story.parrots = True
    (key,) = await firm.add_clients(1, "binance")
    await site.start_daemon()
    await firm.until(lambda: waits(firm, key, Phase.PARKED, Reason.UNSUPPORTED))
    await firm.people.wish(key_id=key)  # a person says: it was the bridge
    await firm.until(lambda: tried_twice(firm))
    await nothing_leaked(firm)
    story.parrots = False
    await firm.people.wish(key_id=key)
    await heal_and_converge(firm, story)


async def waits(firm: Firm, key: KeyId, phase: Phase, reason: Reason) -> bool:
    now = (await firm.standing())[key]
    return (now.phase, now.reason) == (phase, reason)


async def tried_twice(firm: Firm) -> bool:
    return await firm.attempts() == 2


async def test_a_listing_that_is_nonsense_or_empty_removes_nothing(
    site: Site, firm: Firm, story: Parrot
) -> None:
    await firm.add_clients(3, "binance")
    await site.start_daemon()
    for name, said in LISTINGS.items():
        orphan = await firm.add_key(await firm.add_client(name))
        await firm.until_live()
        story.instead[LIST] = said
        asked_before = len(story.requests(*LIST))
        await firm.delete_key(orphan)  # a reason to look, and one to remove
        times = 2 if said is EMPTY else 1  # a loss is believed when two listings agree
        await firm.until(partial(listed, story, asked_before + times))
        story.instead.clear()
        assert len(story.accounts) == 4  # this bridge cannot remove, and nobody lost anything
        story.accounts.pop(account_name(name))
        await firm.until(lambda: is_up(firm))
    await heal_and_converge(firm, story)


async def listed(story: Parrot, times: int) -> bool:
    return len(story.requests(*LIST)) >= times


async def is_up(firm: Firm) -> bool:
    return (await firm.status.bridges())[0].up
