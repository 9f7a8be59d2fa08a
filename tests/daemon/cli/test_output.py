import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest

from daemon.cli import output
from reconciler.model import Secret

LONG = "word " * 60


def test_in_a_pipe_columns_are_aligned_and_nothing_is_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(("Name", "Why"), [("株式会社", LONG), ("b", "c")])
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading == "NAME      WHY"
    assert first == f"株式会社  {LONG}".rstrip()
    assert second == "b         c"


def test_on_a_terminal_markup_in_a_name_is_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    output.table(("Name", "Why"), [("[red]x[/red]", LONG), ("evil\x1b[2J", "c")])
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert shown.count("word") == 60
    assert "\x1b[2J" not in shown


def test_a_document_is_json_with_plain_values(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True, slots=True)
    class Row:
        id: UUID
        at: datetime
        secret: Secret

    output.document({"row": Row(UUID(int=1), datetime(2030, 1, 1, tzinfo=UTC), Secret("hunter2"))})
    assert json.loads(capsys.readouterr().out)["row"] == {
        "id": "00000000-0000-0000-0000-000000000001",
        "at": "2030-01-01T00:00:00+00:00",
        "secret": "Secret(***)",
    }
