from pathlib import Path

from docs import draw_bridge, draw_pacing, draw_phases, draw_reference, draw_verdicts

ROOT = Path(__file__).parent.parent


def test_the_picture_of_the_phases_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/phases.md").read_text() == draw_phases.picture()


def test_the_reference_of_commands_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/reference.md").read_text() == draw_reference.page()


def test_the_table_of_verdicts_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/verdicts.md").read_text() == draw_verdicts.page()


def test_the_picture_of_pacing_is_drawn_by_the_code() -> None:
    assert (ROOT / "docs/pacing.svg").read_text() == draw_pacing.picture()


def test_the_bridges_page_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/bridge.md").read_text() == draw_bridge.page()
