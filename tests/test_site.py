"""The pages are a site that can be read with no network."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, of a copy, as `make docs` does."""
    copy = tmp_path_factory.mktemp("site") / "docs"
    shutil.copytree(DOCS, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    zensical = Path(sys.executable).with_name("zensical")
    command = (zensical, "build", "--strict", "-f", copy / "zensical.toml")
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return copy / ".site"


def test_every_page_is_on_the_site_and_no_script_that_draws_one(site: Path) -> None:
    pages = {str(page.relative_to(DOCS).with_suffix(".html")) for page in pages_of(DOCS)}
    assert pages <= {str(page.relative_to(site)) for page in site.glob("**/*.html")}
    assert not [*site.glob("**/*.py"), *site.glob("**/*.toml")]


def test_every_page_can_be_found_in_the_navigation() -> None:
    configured = tomllib.loads((DOCS / "zensical.toml").read_text())["project"]
    assert sorted(leaves(configured["nav"])) == sorted(
        str(page.relative_to(DOCS)) for page in pages_of(DOCS)
    )


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    pattern = r"<(?!a\s)\w+[^>]*\s(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)"
    for page in site.glob("**/*.html"):
        assert re.findall(pattern, page.read_text()) == [], page
        assert 'class="mermaid"' not in page.read_text(), "its script would come from elsewhere"


def test_every_decision_is_in_their_list() -> None:
    listed = (DOCS / "decisions/index.md").read_text()
    for decision in DOCS.glob("decisions/0*.md"):
        assert f"]({decision.name})" in listed


def pages_of(folder: Path) -> Iterator[Path]:
    return folder.glob("**/*.md")


def leaves(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation, whose parts are pages, lists and titled ones."""
    if isinstance(nav, str):
        yield nav
        return
    for part in nav.values() if isinstance(nav, dict) else nav:
        yield from leaves(part)
