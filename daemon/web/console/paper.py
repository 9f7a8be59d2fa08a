"""Turns templates into pages: what is put into them is escaped, always."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from daemon.bridges.offers import Offer
from daemon.rights import rights_words
from daemon.web.models import Standing
from daemon.web.sessions import Sessions
from daemon.web.standing import hidden
from daemon.words import BUTTONS, cure, relative, sentence, span
from reconciler.model import Reason, Secret
from reconciler.verdicts import Undecryptable

HERE = Path(__file__).parent
FLASH = "bridgetender_said"
_KINDS = {"console.css": "text/css", "console.js": "text/javascript"}
STATIC: Mapping[str, tuple[bytes, str]] = {
    name: ((HERE / "static" / name).read_bytes(), kind) for name, kind in _KINDS.items()
}
_ISSUE = hashlib.sha256(b"".join(body for body, _ in STATIC.values())).hexdigest()[:12]


def _when(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""


def _ago(at: datetime | None) -> str:
    return relative(at, datetime.now(UTC))


def _lasting(since: datetime) -> str:
    return span(max(datetime.now(UTC) - since, timedelta()))


def _offer(offer: Offer) -> str:
    """Return what the script needs to know of an exchange."""
    return json.dumps(asdict(offer))


def _cure(reason: str) -> str:
    return cure(reason, BUTTONS)


def _todo(key: Standing) -> str:
    waits = not key.bridge_up and hidden(key.phase, key.reason)
    return _cure(Reason.BRIDGE_UNAVAILABLE if waits else key.reason)


_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(issue=_ISSUE, program=f"Bridgetender {version('bridgetender')}")
_templates.filters.update(
    when=_when,
    ago=_ago,
    lasting=_lasting,
    cure=_cure,
    todo=_todo,
    sentence=sentence,
    offer=_offer,
    rights=rights_words,
)


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return the page; it says once what the last form came to."""
    said = _said(request)
    values = {"visitor": None, "path": request.url.path, "version": ""} | values
    body = _templates.get_template(template).render(said=said, **values)
    response = HTMLResponse(body, status)
    if said is not None and "x-live" not in request.headers:
        response.delete_cookie(FLASH, path="/console")
    return response


def say(request: Request, response: Response, words: str, *, well: bool = True) -> Response:
    """Let the next page say *words*."""
    sessions = cast("Sessions", request.app.state.sessions)
    said = Secret(json.dumps(["said", words[:1_000], well]))
    response.set_cookie(
        FLASH,
        sessions.keyring().seal(said),
        max_age=60,
        path="/console",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def _said(request: Request) -> tuple[str, bool] | None:
    sessions = cast("Sessions", request.app.state.sessions)
    try:
        kind, words, well = json.loads(
            sessions.keyring().unseal(request.cookies.get(FLASH, "")).reveal()
        )
    except (Undecryptable, ValueError, TypeError):
        return None
    return (str(words), bool(well)) if kind == "said" else None


def tag_of(*things: object) -> str:
    """Return what tells one state of a page from another, without its making."""
    return f'"{hashlib.sha256(repr((_ISSUE, things)).encode()).hexdigest()[:24]}"'
