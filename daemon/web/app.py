"""The API and the console, as one app; health and metrics have an app of their own."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from daemon.store.answers import Answers
from daemon.web import problems
from daemon.web.api import (
    audit,
    balances,
    bridges,
    clients,
    connectors,
    exchanges,
    history,
    imports,
    keys,
    pauses,
    status,
)
from daemon.web.auth import Gate
from daemon.web.checker import Checker
from daemon.web.console import clients as clients_here
from daemon.web.console import deeds, entrance, pages
from daemon.web.console.doors import lost
from daemon.web.console.watching import KEPT_FOR, TRENDS_KEPT_FOR
from daemon.web.examples import with_examples
from daemon.web.forms import ExchangeForms
from daemon.web.fresh import Fresh
from daemon.web.keeper import Keeper
from daemon.web.roster import Roster
from daemon.web.sessions import Sessions
from daemon.web.shell import Shell
from daemon.web.teller import Teller


@dataclass(slots=True)
class Backend:
    """What the app asks."""

    keeper: Keeper
    gate: Gate
    answers: Answers
    teller: Teller
    checker: Checker
    roster: Roster
    forms: ExchangeForms


class _Api(FastAPI):
    """The app, whose OpenAPI page has an example of each model."""

    def openapi(self) -> dict[str, Any]:
        return with_examples(super().openapi())


def api_app(backend: Backend) -> FastAPI:
    """Return the app. Nobody comes in without a token, but to see that it is there."""
    app = _Api(
        title="Bridgetender",
        version=version("bridgetender"),
        description="Clients, their exchange API keys, and where each one stands.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # it would fetch scripts from elsewhere
        redoc_url=None,
    )
    app.state.keeper, app.state.gate = backend.keeper, backend.gate
    app.state.answers, app.state.teller = backend.answers, backend.teller
    app.state.checker, app.state.roster = backend.checker, backend.roster
    app.state.forms, app.state.trends = backend.forms, Fresh[Any](TRENDS_KEPT_FOR)
    app.state.watched = Fresh[Any](KEPT_FOR)
    app.state.sessions = Sessions(backend.keeper.keyring, backend.gate, backend.keeper.clock)
    problems.install(app)
    app.add_exception_handler(404, lost)
    for each in (
        keys,
        imports,
        clients,
        connectors,
        status,
        balances,
        pauses,
        history,
        bridges,
        exchanges,
        audit,
    ):
        app.include_router(each.routes)
    for console in (
        entrance.front,
        entrance.routes,
        pages.routes,
        clients_here.routes,
        deeds.routes,
    ):
        app.include_router(console)
    app.add_middleware(Shell)
    return app
