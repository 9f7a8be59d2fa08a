"""A Trading Bridge that only waits: every call takes the same time, and nothing behind it does.

It says when it first heard of a connector, on the monotonic clock that all processes share, and it
can be told to hold many at once.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter, defaultdict
from time import monotonic
from typing import Any
from uuid import uuid4

import uvloop
from aiohttp import web

BOOT_ID = uuid4().hex
LARGEST = 64 * 1024 * 1024
routes = web.RouteTableDef()
LATENCY = web.AppKey("latency", float)
CONNECTORS = web.AppKey("connectors", dict[tuple[str, str], bytes])
"""Each as its row of the listing."""
CALLS = web.AppKey("calls", Counter[str])
ADDS = web.AppKey("adds", defaultdict[str, list[float]])
"""When each exchange was added to."""
HEARD = web.AppKey("heard", defaultdict[tuple[str, str], asyncio.Future[float]])


@routes.get("/health")
async def health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "boot_id": BOOT_ID})


@routes.get("/calls")
async def calls(request: web.Request) -> web.Response:
    return web.json_response(request.app[CALLS])


@routes.get("/adds")
async def adds(request: web.Request) -> web.Response:
    return web.json_response(request.app[ADDS])


@routes.get("/count")
async def count(request: web.Request) -> web.Response:
    return web.json_response(len(request.app[CONNECTORS]))


@routes.get("/heard/{account}/{connector}")
async def heard(request: web.Request) -> web.Response:
    """Wait until a connector is added; say when its first byte was here."""
    return web.json_response(await request.app[HEARD][_slot(request)])


@routes.get("/connectors")
async def listing(request: web.Request) -> web.Response:
    rows = b",".join(request.app[CONNECTORS].values())
    body = b'{"boot_id":"%s","connectors":[%s]}' % (BOOT_ID.encode(), rows)
    return web.Response(body=body, content_type="application/json")


@routes.post("/seed")
async def seed(request: web.Request) -> web.Response:
    """Hold the connectors of a list: account, connector and fingerprint of each."""
    for account, connector, fingerprint in await request.json():
        _hold(request, (account, connector), fingerprint)
    return web.json_response({"success": True})


@routes.post("/accounts/create")
async def create(request: web.Request) -> web.Response:
    return await _slowly(request, "create")


@routes.post("/connectors/add")
async def add(request: web.Request) -> web.Response:
    now, body = monotonic(), await request.json()
    slot = (body["account_name"], body["connector_name"])
    request.app[ADDS][slot[1]].append(now)
    first = request.app[HEARD][slot]
    if not first.done():
        first.set_result(now)
    answer = await _slowly(request, "add")
    _hold(request, slot, body.get("fingerprint"))
    return answer


@routes.post("/connectors/verify")
async def verify(request: web.Request) -> web.Response:
    return await _slowly(request, "verify")


@routes.delete("/connectors/{account}/{connector}")
async def remove(request: web.Request) -> web.Response:
    answer = await _slowly(request, "remove")
    request.app[CONNECTORS].pop(_slot(request), None)
    return answer


def _slot(request: web.Request) -> tuple[str, str]:
    return request.match_info["account"], request.match_info["connector"]


def _hold(request: web.Request, slot: tuple[str, str], fingerprint: str | None) -> None:
    row = {"account": slot[0], "connector": slot[1], "fingerprint": fingerprint}
    request.app[CONNECTORS][slot] = json.dumps(row).encode()


async def _slowly(request: web.Request, call: str) -> web.Response:
    request.app[CALLS][call] += 1
    await asyncio.sleep(request.app[LATENCY])
    return web.json_response({"success": True, "message": "ok"})


async def _serve(path: str, latency: float) -> None:
    app = web.Application(client_max_size=LARGEST)
    app[LATENCY], app[CONNECTORS], app[CALLS] = latency, {}, Counter()
    app[ADDS] = defaultdict[str, list[float]](list)
    app[HEARD] = defaultdict(asyncio.get_running_loop().create_future)
    app.add_routes(routes)
    runner: Any = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    sys.stdout.write(json.dumps({"event": "listening", "address": f"unix:{path}"}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--uds", required=True)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds per call")
    options = parser.parse_args()
    uvloop.run(_serve(options.uds, options.latency))
