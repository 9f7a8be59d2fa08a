from pathlib import Path

from docs.draw_phases import picture
from docs.draw_reference import page

ROOT = Path(__file__).parent.parent


def test_the_picture_of_the_phases_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/phases.md").read_text() == picture()


def test_the_reference_of_commands_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/reference.md").read_text() == page()
