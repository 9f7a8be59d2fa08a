import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import (
    draw_bridge,
    draw_life,
    draw_metrics,
    draw_pacing,
    draw_phases,
    draw_reference,
    draw_settings,
    draw_verdicts,
)

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_picture_of_the_phases_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/phases.svg").read_text() == draw_life.picture()


def test_the_map_of_the_code_has_every_folder_of_the_daemon() -> None:
    told = (ROOT / "docs/architecture.md").read_text()
    assert all(f" {each.parent.name}/ " in told for each in ROOT.glob("daemon/*/__init__.py"))


def test_the_table_of_phases_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/phases.md").read_text() == draw_phases.page()


def test_the_reference_of_commands_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/reference.md").read_text() == draw_reference.page()


def test_the_page_of_settings_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/settings.md").read_text() == draw_settings.page()


def test_the_list_of_metrics_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/metrics.md").read_text() == draw_metrics.page()


def test_the_table_of_verdicts_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/verdicts.md").read_text() == draw_verdicts.page()


def test_the_picture_of_pacing_is_drawn_by_the_code() -> None:
    assert (ROOT / "docs/pacing.svg").read_text() == draw_pacing.picture()


def test_the_bridges_page_is_drawn_from_the_code() -> None:
    assert (ROOT / "docs/bridge.md").read_text() == draw_bridge.page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, place = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not place or place in places(target), link


def places(page: Path) -> Iterator[str]:
    """Yield what a link may name of a page: its headings, as they are made into addresses."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
