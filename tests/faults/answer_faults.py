"""What stands between daemon and bridge spoils requests and answers, of each kind a good part."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio

from tests.daemon.bridges.wire import Asked, Hang, Raw, Reply, Reset, Said, serving, told
from tests.faults.fault import fault
from tests.faults.relay import Forward, Trouble
from tests.faults.scene import Scene

ADD = "/connectors/add"
LISTING = "/connectors"
SHARE = 0.7
"""Of the requests that are spoiled: what follows on an answer that is right shall happen, too."""
HTML = {"Content-Type": "text/html"}
PAGE = Reply(502, b"<html><body><h1>Bad Gateway</h1></body></html>", HTML)
WELCOME = Reply(200, b"<html><body>Please log in</body></html>", HTML)
CUT = Raw(b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"success": tr')
CUT_WITHIN = Reply(200, b'{"boot_id": "f00", "connectors": [{"account": "cli')
UNSUCCESSFUL = told(200, success=False, message="Failed to add connector")
MIB = 2**20


@asynccontextmanager
async def troubled(scene: Scene, trouble: Trouble, *, share: float = SHARE) -> AsyncIterator[None]:
    """Let there be trouble on the way to a bridge that has just forgotten everything."""

    async def sometimes(asked: Asked, forward: Forward) -> Said:
        spoiled = scene.chance.random() < share
        return await (trouble(asked, forward) if spoiled else forward(asked))

    await scene.through_relay()
    scene.relay.trouble = sometimes
    await scene.restart_bridge()
    yield
    await scene.pause(1, 2)
    scene.relay.trouble = None


def answering(*said: Said) -> Trouble:
    """Return the trouble that all is answered like this, in turn."""
    turns = {"next": 0}

    async def answer(_asked: Asked, _forward: Forward) -> Said:
        turns["next"] += 1
        return said[turns["next"] % len(said)]

    return answer


async def slowly(asked: Asked, forward: Forward) -> Said:
    await anyio.sleep(1.5)
    return await forward(asked)


async def reset(_asked: Asked, _forward: Forward) -> Said:
    return Reset()


async def dropped(asked: Asked, forward: Forward) -> Said:
    await forward(asked)
    return Reset()


async def hung(_asked: Asked, _forward: Forward) -> Said:
    return Hang()


async def giant(asked: Asked, _forward: Forward) -> Said:
    size = 65 * MIB if asked.path == LISTING else 2 * MIB
    return Reply(200, b'{"boot_id": "' + b"x" * size + b'"}')


async def echoed(asked: Asked, _forward: Forward) -> Said:
    """Repeat everything, as FastAPI's own 422 does, and as a debugging page would."""
    said = asked.body.decode(errors="replace")
    if asked.path == ADD and len(said) % 2:
        problem = {"type": "missing", "loc": ["body", "memo"], "input": json.loads(said)}
        return told(422, detail=[problem, said])
    return told(500, detail=f"Traceback: {asked.method} {asked.target} {said}")


def listing(change: Callable[[list[object]], list[object]]) -> Trouble:
    """Return the trouble that a listing is changed on its way, and nothing else is."""

    async def changed(asked: Asked, forward: Forward) -> Said:
        said = await forward(replace(asked, headers=_unconditional(asked.headers)))
        if asked.path != LISTING or not isinstance(said, Reply) or said.status != 200:
            return said
        page = json.loads(said.body)
        page["connectors"] = change(page["connectors"])
        return told(200, **page)

    return changed


def _unconditional(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {k: v for k, v in headers.items() if k not in ("if-none-match", "accept-encoding")}


def in_seconds() -> Reply:
    return replace(told(429, detail="too many"), headers={"Retry-After": "2"})


def at_a_time() -> Reply:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    return replace(told(429, detail="too many"), headers={"Retry-After": date})


# -- the faults ------------------------------------------------------------------------------


@fault()
async def bridge_slow(scene: Scene) -> AsyncIterator[None]:
    """its answers take 1.5 s longer"""
    async with troubled(scene, slowly):
        yield


@fault(quick=1)
async def bridge_hangs(scene: Scene) -> AsyncIterator[None]:
    """requests are not answered until their connections break at the end"""
    over = anyio.Event()

    async def hang(_asked: Asked, _forward: Forward) -> Said:
        await over.wait()
        return Reset()

    async with troubled(scene, hang):
        yield
    over.set()


@fault()
async def bridge_hangs_for_good(scene: Scene) -> AsyncIterator[None]:
    """some requests are never answered, so that the daemon has to give them up"""
    async with troubled(scene, hung, share=0.3):
        yield


@fault()
async def bridge_resets(scene: Scene) -> AsyncIterator[None]:
    """connections break once a request was sent"""
    async with troubled(scene, reset):
        yield


@fault(times=2, quick=1)
async def bridge_answers_get_lost(scene: Scene) -> AsyncIterator[None]:
    """it does what it is asked for, and nobody hears of it"""
    async with troubled(scene, dropped):
        yield


@fault()
async def bridge_answers_html(scene: Scene) -> AsyncIterator[None]:
    """it answers with pages, of an error and of a login"""
    async with troubled(scene, answering(PAGE, WELCOME)):
        yield


@fault()
async def bridge_answers_cut_off(scene: Scene) -> AsyncIterator[None]:
    """it answers with JSON that ends too early"""
    async with troubled(scene, answering(CUT, CUT_WITHIN)):
        yield


@fault()
async def bridge_answers_no_success(scene: Scene) -> AsyncIterator[None]:
    """it answers 200 with success: false"""
    async with troubled(scene, answering(UNSUCCESSFUL, told(200, success=False))):
        yield


@fault()
async def bridge_listing_empty(scene: Scene) -> AsyncIterator[None]:
    """its listing is always empty, though it has everything"""
    async with troubled(scene, listing(lambda _: []), share=1):
        yield


@fault()
async def bridge_listing_partial(scene: Scene) -> AsyncIterator[None]:
    """its listing lacks half of the connectors, each time others"""

    def half(rows: list[object]) -> list[object]:
        return [row for row in rows if scene.chance.random() < 0.5]

    async with troubled(scene, listing(half)):
        yield


@fault(quick=1)
async def bridge_redirects(scene: Scene) -> AsyncIterator[None]:
    """it sends everybody elsewhere, where secrets have no business"""

    def heard(asked: Asked) -> Said:
        scene.elsewhere.append(f"{asked.target} {asked.headers} {asked.body!r}")
        return told(200, success=True)

    async def redirect(asked: Asked, _forward: Forward) -> Said:
        status = scene.chance.choice((301, 302, 307, 308))
        return Reply(status, headers={"Location": elsewhere + asked.target})

    async with serving(heard) as elsewhere, troubled(scene, redirect):
        yield


@fault()
async def bridge_answers_giant(scene: Scene) -> AsyncIterator[None]:
    """its answers are larger than anything it could have to say"""
    async with troubled(scene, giant, share=0.3):
        yield


@fault(times=2, quick=1)
async def bridge_echoes_secrets(scene: Scene) -> AsyncIterator[None]:
    """its errors repeat what was sent; then a person has everything initialized again"""
    async with troubled(scene, echoed):
        yield
    await scene.firm.people.wish()


@fault()
async def bridge_throttles(scene: Scene) -> AsyncIterator[None]:
    """it answers 429 with Retry-After, in seconds and as a date"""

    async def throttle(_asked: Asked, _forward: Forward) -> Said:
        return scene.chance.choice((in_seconds, at_a_time))()

    async with troubled(scene, throttle):
        yield


@fault()
async def bridge_refuses_one_key(scene: Scene) -> AsyncIterator[None]:
    """it refuses a key that is right; no other waits for it; then a person asks again"""
    refused = scene.firm.keys[min(scene.firm.keys)].api_key.encode()

    async def refuse(asked: Asked, forward: Forward) -> Said:
        if refused in asked.body:
            return told(422, detail="the exchange refuses this key", code="refused")
        return await forward(asked)

    async with troubled(scene, refuse, share=1):
        yield
        await scene.firm.until(lambda: _none_waits(scene))
    await scene.firm.people.wish()


@fault()
async def bridge_unlearns_an_exchange(scene: Scene) -> AsyncIterator[None]:
    """it does not know kucoin any more; then it does, and a person asks again"""

    async def unlearn(asked: Asked, forward: Forward) -> Said:
        if asked.path == ADD and b'"kucoin"' in asked.body:
            return told(400, detail="Unsupported exchange: kucoin. Supported: ['binance']")
        return await forward(asked)

    async with troubled(scene, unlearn, share=1):
        yield
    await scene.firm.people.wish()


async def _none_waits(scene: Scene) -> bool:
    return not await scene.firm.phases("pending", "initializing", "retrying")
