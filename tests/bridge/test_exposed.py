"""Which files with secrets are open to everybody, and what is said of them at start."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.egress_file import read
from bridge.exposed import is_exposed


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may look into, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def secret(directory: Path, mode: int, name: str = "secret", text: str = "hunter2-canary") -> Path:
    file = directory / name
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("mode", "exposed"), [(0o600, False), (0o640, False), (0o440, False), (0o644, True)]
)
def test_what_others_may_read_is_exposed(public: Path, mode: int, exposed: bool) -> None:  # noqa: FBT001 - a column
    assert is_exposed(secret(public, mode)) is exposed


def test_what_lies_where_others_may_not_look_is_not(public: Path) -> None:
    closed = public / "credentials"  # as systemd's directory of credentials is
    closed.mkdir()
    file = secret(closed, 0o644)
    assert is_exposed(file)
    closed.chmod(0o500)
    assert not is_exposed(file)


def test_a_link_is_judged_by_what_it_leads_to(public: Path) -> None:
    """As Kubernetes mounts its secrets: each file is a link."""
    link = public / "token"
    link.symlink_to(secret(public, 0o600))
    assert not is_exposed(link)
    link.resolve().chmod(0o644)
    assert is_exposed(link)


def test_the_egress_file_is_secret_where_it_holds_a_password(tmp_path: Path) -> None:
    login = secret(tmp_path, 0o600, "login", "user:hunter2")
    rules = '[[egress]]\naccount = "a"\nproxy = "http://10.0.0.5:3128"\n'
    for more, secret_files in (
        ("", ()),
        (f'credentials_file = "{login}"\n', (login,)),
        ('[[egress]]\nproxy = "http://user:hunter2@10.0.0.6:3128"\n', (tmp_path / "egress",)),
    ):
        file = secret(tmp_path, 0o600, "egress", rules + more)
        assert read(file, ["binance"]).secret_files == secret_files


def test_a_bridge_says_at_start_what_is_open_and_how_to_close_it(start: Any, public: Path) -> None:
    token = secret(public, 0o644, "token")
    closed = secret(public, 0o600, "login", "user:hunter2-canary")
    rules = f'[[egress]]\nproxy = "http://127.0.0.1:1"\ncredentials_file = "{closed}"\n'
    egress = secret(public, 0o644, "egress", rules)
    process, _ = start("bridge", "--port", 0, "--token-file", token, "--egress", egress)
    process.terminate()
    _, said = process.communicate(timeout=30)
    lines = [json.loads(line) for line in said.splitlines()]
    (told,) = (line for line in lines if line["event"] == "secret_file_open_to_all")
    assert (told["level"], told["file"], told["mode"]) == ("warning", str(token), "0644")
    assert told["run"] == f"chmod 600 {token} (in Kubernetes defaultMode 0440)"
    assert "canary" not in said


def test_what_comes_through_a_pipe_is_no_file_to_close() -> None:
    reader, writer = os.pipe()
    assert not is_exposed(Path(f"/dev/fd/{reader}"))
    os.close(reader)
    os.close(writer)
