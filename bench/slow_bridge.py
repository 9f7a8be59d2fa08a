"""A Trading Bridge that only waits: every call takes the same time, and nothing behind it does."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from typing import Any
from uuid import uuid4

import uvloop
from aiohttp import web

BOOT_ID = uuid4().hex
routes = web.RouteTableDef()
LATENCY = web.AppKey("latency", float)
CONNECTORS = web.AppKey("connectors", dict[tuple[str, str], str | None])
CALLS = web.AppKey("calls", Counter[str])


@routes.get("/health")
async def health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "boot_id": BOOT_ID})


@routes.get("/calls")
async def calls(request: web.Request) -> web.Response:
    return web.json_response(request.app[CALLS])


@routes.get("/connectors")
async def listing(request: web.Request) -> web.Response:
    rows = [
        {"account": account, "connector": connector, "fingerprint": fingerprint}
        for (account, connector), fingerprint in sorted(request.app[CONNECTORS].items())
    ]
    return web.json_response({"boot_id": BOOT_ID, "connectors": rows})


@routes.post("/accounts/create")
async def create(request: web.Request) -> web.Response:
    return await _slowly(request, "create")


@routes.post("/connectors/add")
async def add(request: web.Request) -> web.Response:
    body = await request.json()
    slot = (body["account_name"], body["connector_name"])
    answer = await _slowly(request, "add")
    request.app[CONNECTORS][slot] = body.get("fingerprint")
    return answer


@routes.post("/connectors/verify")
async def verify(request: web.Request) -> web.Response:
    return await _slowly(request, "verify")


@routes.delete("/connectors/{account}/{connector}")
async def remove(request: web.Request) -> web.Response:
    slot = (request.match_info["account"], request.match_info["connector"])
    answer = await _slowly(request, "remove")
    request.app[CONNECTORS].pop(slot, None)
    return answer


async def _slowly(request: web.Request, call: str) -> web.Response:
    request.app[CALLS][call] += 1
    await asyncio.sleep(request.app[LATENCY])
    return web.json_response({"success": True, "message": "ok"})


async def _serve(path: str, latency: float) -> None:
    app = web.Application()
    app[LATENCY], app[CONNECTORS], app[CALLS] = latency, {}, Counter()
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
