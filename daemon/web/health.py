"""Health for machines by status code, and for people by ?verbose. It waits for nothing."""

from collections.abc import Mapping
from datetime import datetime
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from daemon.vitals import BridgeVitals, Vitals

STALLED_AFTER = 180.0
"""Seconds without the end of an iteration after which the process should be restarted, if not six
resyncs are longer: well above the longest a listing or a database call may take."""

SILENT_AFTER = 20.0
"""Seconds without a look at the database after which it counts as away; looks are 5 s apart."""

Checks = Mapping[str, str | None]
"""Why each check fails, or None."""
Verbose = Annotated[str | None, Query(description="list every check")]


def health_app(vitals: Vitals, registry: CollectorRegistry) -> FastAPI:
    """Return the app that serves health and metrics, apart from the API."""
    app = FastAPI(title="Bridgetender health", openapi_url=None)
    app.include_router(_router(vitals))

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=kind)

    return app


def _router(vitals: Vitals) -> APIRouter:
    router = APIRouter()

    @router.get("/livez")
    async def livez(verbose: Verbose = None) -> Response:
        return _answer(alive(vitals, monotonic()), verbose)

    @router.get("/startupz")
    async def startupz(verbose: Verbose = None) -> Response:
        return _answer(started(vitals), verbose)

    @router.get("/readyz")
    @router.get("/healthz")
    async def readyz(verbose: Verbose = None) -> Response:
        return _answer(ready(vitals, monotonic()), verbose)

    @router.get("/readyz/{check}")
    async def readyz_one(check: str, verbose: Verbose = None) -> Response:
        checks = ready(vitals, monotonic())
        if check not in checks:
            return JSONResponse({"detail": f"no such check; there are {sorted(checks)}"}, 404)
        return _answer({check: checks[check]}, verbose)

    @router.get("/healthz/bridges")
    async def bridges() -> Response:
        shown = {name: _shown(bridge) for name, bridge in vitals.bridges.items()}
        well = bool(shown) and all(bridge.up for bridge in vitals.bridges.values())
        return JSONResponse({"bridges": shown}, 200 if well else 503)

    @router.get("/healthz/bridges/{name}")
    async def bridge(name: str) -> Response:
        if name not in vitals.bridges:
            return JSONResponse({"detail": f"no bridge is named {name!r}"}, 404)
        return JSONResponse(_shown(vitals.bridges[name]), 200 if vitals.bridges[name].up else 503)

    return router


def alive(vitals: Vitals, now: float) -> Checks:
    """Fail only if a loop no longer turns; database and bridges may be away."""
    return {
        f"loop-{name}": f"no iteration ended for {now - bridge.turned:.0f} s"
        if bridge.turned is not None and now - bridge.turned > _patience(bridge)
        else None
        for name, bridge in vitals.bridges.items()
    }


def _patience(bridge: BridgeVitals) -> float:
    return max(STALLED_AFTER, 6 * bridge.resync)


def ready(vitals: Vitals, now: float) -> Checks:
    """Bridges are no reason: keys must be accepted while one is down."""
    return {
        "started": None if vitals.started else "still starting",
        "not-draining": "stopping" if vitals.draining else None,
        "database": vitals.database or _silent(vitals, now),
        "schema": vitals.schema,
        "keyring": vitals.keyring,
        "routes": vitals.routes,
    }


def _silent(vitals: Vitals, now: float) -> str | None:
    if vitals.database_seen_at is None or now - vitals.database_seen_at <= SILENT_AFTER:
        return None
    return f"no answer for {now - vitals.database_seen_at:.0f} s"


def started(vitals: Vitals) -> Checks:
    return {"started": None if vitals.started else _why_not_started(vitals)}


def _why_not_started(vitals: Vitals) -> str:
    known = vitals.database or vitals.schema or vitals.keyring or vitals.routes
    return known or "first round for leases"


def _answer(checks: Checks, verbose: str | None) -> Response:
    failed = [name for name, why in checks.items() if why]
    body: dict[str, Any] = {"status": "failing" if failed else "ok"}
    if verbose is not None:  # which check, not why: whoever asks is not known here
        body["checks"] = {name: "failing" if why else "ok" for name, why in checks.items()}
    return JSONResponse(body, 503 if failed else 200)


def _shown(bridge: BridgeVitals) -> dict[str, Any]:
    return {
        "up": bridge.up,
        "reason": bridge.reason,
        "since": _iso(bridge.since),
        "seen_at": _iso(bridge.seen_at),
        "held": bridge.held,
        "paused": bridge.paused,
        "pauses": bridge.pauses,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
