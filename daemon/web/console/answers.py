"""What a form is answered by: the page that shows what it did, what was wrong, or what it means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from daemon.entry import BadEntry
from daemon.web.console.doors import Visitor
from daemon.web.console.paper import page, say
from daemon.web.console.watching import live
from daemon.web.problems import Problem

_OURS = re.compile(r"/console(?:/[A-Za-z0-9_./-]*)?(?:\?[A-Za-z0-9_=&%.+-]*)?")


def ours(where: str) -> str:
    """Return *where* if it is a page of the console. Nobody is sent elsewhere."""
    return where if _OURS.fullmatch(where) else "/console"


def done(request: Request, where: str, words: str, *, well: bool = True) -> Response:
    """Return the way to the page that shows it."""
    where = ours(where)
    sent_by_script = Response(status_code=204, headers={"X-Next": where})
    return say(
        request,
        sent_by_script if live(request) else RedirectResponse(where, 303),
        words,
        well=well,
    )


def refused(request: Request, form: str, error: BadEntry | Problem) -> Response:
    """Say what was wrong: beside the form, whose secrets stay there, if its script has sent it."""
    words = error.detail if isinstance(error, Problem) else str(error)
    if "Nothing was saved" not in words:
        words = f"Nothing was saved. {words}"
    if live(request):
        return page(request, "checked.html", 422, back=form, found=None, words=words)
    return done(request, form, words, well=False)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before it is done; *sure* is what the form sends once that was answered.

    It names what was asked about, so that nobody agrees to something else. *kept* is what the form
    held: no secrets, which are entered anew where no script keeps them.
    """

    words: list[str]
    sure: str
    agree: str
    deed: str
    back: str
    kept: Mapping[str, str] = field(default_factory=dict)
    secret: bool = False


def ask(request: Request, visitor: Visitor, question: Question) -> Response:
    """Return the form with the question: nothing was done yet."""
    return page(request, "asked.html", 409, visitor=visitor, question=question)
