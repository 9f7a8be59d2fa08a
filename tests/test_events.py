"""What is logged has a constant name: who counts or searches lines relies on it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NAME = re.compile(r"[a-z]+(_[a-z]+)*")


def logged() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call of a module's `log`, and where it is."""
    for package in ("bridge", "daemon", "reconciler"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and _is_log(node.func):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def _is_log(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in LEVELS
        and isinstance(function.value, ast.Name)
        and function.value.id == "log"
    )


def _named(call: ast.Call) -> bool:
    match call.args:
        case [ast.Constant(value=str(name))]:
            return NAME.fullmatch(name) is not None
        case _:
            return False


def test_every_event_has_a_constant_name_and_no_words_put_together() -> None:
    calls = dict(logged())
    assert len(calls) > 20
    assert [place for place, call in calls.items() if not _named(call)] == []
