"""The wheel is all that a stranger needs, the sdist makes the same, and all in it may be shipped.

`make release-check` does more: it installs every pinned package anew.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from deploy.release.licences import EXCEPTIONS, Part, parts, pinned
from deploy.release.packages import ROOT, build, unpack, wrong_with_sdist, wrong_with_wheel
from tests.conftest import fast_place

OTHER = "9.8.7"
"""A version that nothing says by chance."""
WHAT_IT_SAYS = """
import json
from unittest.mock import MagicMock

from prometheus_client import generate_latest

import bridge.metrics, bridge.openapi, daemon.metrics, daemon.web.app
from bridge.app import create_app
from daemon.web.console import paper

registries = (daemon.metrics.Metrics().registry, bridge.metrics.Metrics("boot")._registry)
lines = [line for each in registries for line in generate_latest(each).decode().splitlines()]
print(json.dumps({
    "metrics": [line for line in lines if "build_info{" in line],
    "console": paper._templates.globals["program"],
    "api": daemon.web.app.api_app(MagicMock()).version,
    "bridge": bridge.openapi.describe(create_app())["info"]["version"],
    "from": daemon.__file__,
}))
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="bridgetender-release-", dir=fast_place()))
    directory.chmod(0o711)  # for the user that serves root
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def sdist(place: Path) -> Path:
    return build(ROOT, place / "dist", "sdist")


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    return build(ROOT, place / "dist", "wheel")


@pytest.fixture(scope="module")
def installed(place: Path, sdist: Path) -> Path:
    """The programs of an environment with a wheel of version *OTHER*, made from the sdist.

    It sees the packages that are installed here, and not the source, which only a .pth leads to.
    """
    tree = unpack(sdist, place / "other")
    said = tree / "pyproject.toml"
    said.write_text(re.sub(r'(?m)^version = ".*"', f'version = "{OTHER}"', said.read_text()))
    wheel = build(tree, place / "other-dist", "wheel")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place / "env")], check=True)
    packages = next((place / "env").glob("lib/python*/site-packages"))
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    python = place / "env/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    options = ["--no-deps", "--ignore-installed", "--no-index", "--no-compile"]
    subprocess.run([*pip, *options, str(wheel)], check=True)
    return python.parent


def run(*command: str | Path, cwd: Path) -> str:
    clean = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_all_of_our_packages_and_nothing_else(wheel: Path) -> None:
    assert list(wrong_with_wheel(wheel)) == []


@pytest.mark.parametrize(
    "lost", ["migrations/versions/", "console/templates/", "static/", "py.typed", "LICENSE"]
)
def test_what_a_wheel_lacks_is_named(wheel: Path, place: Path, lost: str) -> None:
    poorer = place / "poorer.whl"
    with ZipFile(wheel) as whole, ZipFile(poorer, "w") as less:
        for name in whole.namelist():
            if lost not in name:
                less.writestr(name, b"")
    wrong = list(wrong_with_wheel(poorer))
    assert wrong
    assert all(lost in each for each in wrong)


def test_the_sdist_builds_the_same_wheel_to_the_byte(sdist: Path, wheel: Path, place: Path) -> None:
    assert list(wrong_with_sdist(sdist)) == []
    again = build(unpack(sdist, place / "tree"), place / "again", "wheel")
    assert again.read_bytes() == wheel.read_bytes()


def test_the_version_is_said_once_and_heard_everywhere(installed: Path, place: Path) -> None:
    assert run(installed / "bridgetender", "--version", cwd=place).startswith(
        f"bridgetender {OTHER} (Python "
    )
    said = json.loads(run(installed / "python", "-c", WHAT_IT_SAYS, cwd=place))
    assert str(installed.parent) in said["from"]
    assert (said["api"], said["bridge"]) == (OTHER, OTHER)
    assert said["console"] == f"Bridgetender {OTHER}"
    assert len(said["metrics"]) == 2
    assert all(f'version="{OTHER}"' in line for line in said["metrics"])


def test_the_pages_on_installing_name_the_image_of_this_version() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("deploy-*.md"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert set(re.findall(r"bridgetender:(\d[\w.]*)", pages)) == {version}


def test_the_demo_runs_from_the_wheel_with_no_source_near(installed: Path, place: Path) -> None:
    state = place / "state"
    said = run(
        installed / "bridgetender", "demo", "--once", "--json", "--state-dir", state, cwd=place
    )
    report = json.loads(said.splitlines()[-1])
    assert (report["live"], report["parked"], report["secrets_leaked"]) == (6, 2, 0)


def test_every_package_that_comes_along_may_be_shipped() -> None:
    found = parts()
    assert {part.name: part.licence for part in found if part.refused or not part.licence} == {}
    only_elsewhere = {"colorama", "winloop"}  # Windows, where it is not to run
    assert set(pinned()) - {part.name for part in found} <= only_elsewhere


def test_a_licence_nobody_has_agreed_to_is_refused() -> None:
    assert Part("x", "1", "GPL-3.0-only").refused == {"GPL-3.0-only"}
    assert Part("x", "1", "MIT OR GPL-3.0-only").refused == {"GPL-3.0-only"}
    assert Part("x", "1", "MPL-2.0 AND (Apache-2.0 OR MIT)").refused == {"MPL-2.0"}
    assert not Part("orjson", "1", "MPL-2.0 AND (Apache-2.0 OR MIT)").refused


def test_no_exception_outlives_its_package() -> None:
    assert EXCEPTIONS.keys() <= {part.name for part in parts() if "MPL" in part.licence}
