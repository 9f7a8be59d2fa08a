"""Where the state is, and a keyring file that is made once and never again."""

import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.home import keyring_file, postgres_directory, require_keyring, state_directory

USER = 1000
FOUND = {
    (("BRIDGETENDER_STATE_DIR", "/srv/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")): "/srv/b",
    (("XDG_STATE_HOME", "/x"), ("HOME", "/h")): "/x/bridgetender",
    (("XDG_STATE_HOME", "relative"), ("HOME", "/h")): "/h/.local/state/bridgetender",
    (("HOME", "/h"),): "/h/.local/state/bridgetender",
}


@pytest.mark.parametrize("settings", FOUND)
def test_a_users_state_is_where_the_setting_or_the_standard_says(
    settings: tuple[tuple[str, str], ...],
) -> None:
    assert state_directory(dict(settings), USER) == Path(FOUND[settings])


def test_roots_state_is_the_machines_unless_it_is_set() -> None:
    assert state_directory({"HOME": "/root"}, 0) == Path("/var/lib/bridgetender")
    assert state_directory({"BRIDGETENDER_STATE_DIR": "/srv/b"}, 0) == Path("/srv/b")


def test_a_user_without_a_home_is_told_what_to_set() -> None:
    with pytest.raises(EmbeddedError, match="set HOME or BRIDGETENDER_STATE_DIR"):
        state_directory({}, USER)


def test_a_keyring_is_made_once_for_our_eyes_only(tmp_path: Path) -> None:
    path = require_keyring(tmp_path / "a/state")
    assert path == keyring_file(tmp_path / "a/state")
    assert path.stat().st_mode & 0o777 == 0o600
    Fernet(path.read_text().strip())
    made = path.read_bytes()
    assert require_keyring(path.parent).read_bytes() == made
    assert list(path.parent.iterdir()) == [path]


def test_a_keyring_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = require_keyring(tmp_path)
    path.chmod(0o640)
    with pytest.raises(EmbeddedError, match=f"mode 0640.*run 'chmod 600 {path}'"):
        require_keyring(tmp_path)


def test_a_keyring_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = require_keyring(tmp_path)
    if os.geteuid() == 0:
        os.chown(path, USER, USER)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: USER)
    with pytest.raises(EmbeddedError, match="belongs to another user: run 'chown"):
        require_keyring(tmp_path)


def test_a_keyring_that_is_gone_is_not_replaced_where_a_database_is(tmp_path: Path) -> None:
    require_keyring(tmp_path).unlink()
    (postgres_directory(tmp_path) / "data").mkdir(parents=True)
    with pytest.raises(EmbeddedError, match=r"encryption-key is gone.*put it back"):
        require_keyring(tmp_path)
    assert not keyring_file(tmp_path).exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="file/state/encryption-key cannot be used: Not a dir"):
        require_keyring(tmp_path / "file/state")
