"""systemd finds nothing wrong with the units, and little that an intruder could do from them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.embedded.home import state_directory
from daemon.settings import Settings, read
from daemon.vault import new_key
from tests.conftest import installed
from tests.deploy.programs import WEBHOOK, is_told

ROOT = Path(__file__).parent.parent.parent
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
MOST_EXPOSED = 1.5


def analyze(*words: str) -> str:
    program = installed("systemd-analyze", package="systemd")
    run = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def test_both_programs_have_a_unit() -> None:
    assert [unit.name for unit in UNITS] == ["bridgetender-bridge.service", "bridgetender.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_free_of_mistakes(unit: Path, tmp_path: Path) -> None:
    there = tmp_path / unit.name  # where nobody has installed anything, any program will do
    there.write_text(re.sub(r"/opt/bridgetender/bin/\w+", "/bin/true", unit.read_text()))
    assert analyze("verify", "--man=no", str(there)) == ""


def test_what_the_webhook_adds_to_a_unit_is_free_of_mistakes_and_heard(tmp_path: Path) -> None:
    (unit,) = (unit for unit in UNITS if unit.name == "bridgetender.service")
    there, added = tmp_path / unit.name, ROOT / "deploy/systemd/webhook.conf"
    there.write_text(re.sub(r"/opt/bridgetender/bin/\w+", "/bin/true", unit.read_text()))
    (tmp_path / f"{unit.name}.d").mkdir()
    shutil.copy(added, tmp_path / f"{unit.name}.d")
    assert analyze("verify", "--man=no", str(there)) == ""
    handed = re.findall(r"^LoadCredential=(\w+):/etc/\S+/\1$", added.read_text(), re.MULTILINE)
    assert handed == ["webhook_url", "webhook_secret"]
    for name in handed:
        (tmp_path / name).write_text(WEBHOOK[name])
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "BRIDGETENDER_CONFIG": ""}
    assert is_told(read(environment, Settings))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_leaves_little_to_an_intruder(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found, said
    assert float(found[1]) <= MOST_EXPOSED


def test_the_daemon_knows_every_credential_that_its_unit_hands_it(tmp_path: Path) -> None:
    unit = next(unit for unit in UNITS if unit.name == "bridgetender.service").read_text()
    said = {
        "encryption_key": new_key().reveal(),
        "database_url": "postgresql://bridgetender@localhost/firm",
        "bridge-main-token": "a-token-of-the-bridge-long-enough",
    }
    assert set(re.findall(r"^LoadCredential=([^:]+):", unit, re.MULTILINE)) == said.keys()
    for name, text in said.items():
        (tmp_path / name).write_text(text)
    config = tmp_path / "config.toml"
    config.write_text('[bridges.main]\nurl = "http://127.0.0.1:8700"\n')
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "BRIDGETENDER_CONFIG": str(config)}
    settings = read(environment, Settings)
    assert settings.keyring is not None
    assert settings.bridges[0].access.token is not None
    assert settings.database_url.reveal() == said["database_url"]


def test_the_daemon_finds_its_state_where_systemd_made_it_a_place() -> None:
    unit = next(unit for unit in UNITS if unit.name == "bridgetender.service").read_text()
    said = re.findall(r"^Environment=(\w+)=(\S+)$", unit, re.MULTILINE)
    environment = {name: value.replace("%S", "/var/lib") for name, value in said}
    made = re.findall(r"^StateDirectory=(\S+)$", unit, re.MULTILINE)
    assert [state_directory(environment, uid=61_000)] == [Path("/var/lib") / made[0]]


def test_the_page_on_installing_names_every_file_that_the_units_want() -> None:
    page = (ROOT / "docs/deploy-systemd.md").read_text()
    for unit in UNITS:
        text = unit.read_text()
        for secret in re.findall(
            r"^LoadCredential=[^:]+:/etc/bridgetender/secrets/(\w+)$", text, re.MULTILINE
        ):
            assert re.search(rf"> {secret}\b|into `{secret}`", page), secret
        for program in re.findall(r"^ExecStart=(/opt/bridgetender)/bin/", text, re.MULTILINE):
            assert f"python3 -m venv {program}\n" in page


def test_roots_commands_find_what_the_services_are_handed(tmp_path: Path) -> None:
    """The page's settings name files that the services cannot read, and need not."""
    page = (ROOT / "docs/deploy-systemd.md").read_text()
    found = re.search(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found
    files, handed, config = tmp_path / "secrets", tmp_path / "credentials", tmp_path / "config.toml"
    config.write_text(found[1].replace("/etc/bridgetender/secrets", str(files)))
    for directory, names in (
        (files, ("encryption_key", "database_url", "bridge_token")),
        (handed, ("encryption_key", "database_url", "bridge-main-token")),
    ):
        directory.mkdir()
        key, url = new_key().reveal(), f"postgresql://{directory.name}@localhost/firm"
        for name, text in zip(names, (key, url, "a-token-of-the-bridge-long-enough"), strict=True):
            (directory / name).write_text(text)
    roots = read({"BRIDGETENDER_CONFIG": str(config)}, Settings)
    assert "secrets@" in roots.database_url.reveal()
    assert roots.keyring is not None
    assert roots.bridges[0].access.token is not None
    shutil.rmtree(files)
    said = {"BRIDGETENDER_CONFIG": str(config), "CREDENTIALS_DIRECTORY": str(handed)}
    services = read(said, Settings)
    assert "credentials@" in services.database_url.reveal()
    assert services.keyring is not None
    assert services.bridges[0].access.token is not None
