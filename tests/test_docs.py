from pathlib import Path

from docs.draw_phases import picture

ROOT = Path(__file__).parent.parent


def test_the_picture_of_the_phases_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/phases.md").read_text() == picture()
