from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from daemon.settings import BadSettings, Settings, from_environment, read
from daemon.vault import new_key
from reconciler.model import Secret

KEY = new_key().reveal()
RIGHT = {
    "DATABASE_URL": "postgresql://user:hunter2@db/shop",
    "ENCRYPTION_KEY": KEY,
    "TRADING_BRIDGE_URL": "http://127.0.0.1:8700",
}
WRONG = {
    "ENCRYPTION_KEY": "hunter2-is-no-fernet-key",
    "BRIDGETENDER_HEALTH_PORT": "65536",
    "BRIDGETENDER_CONCURRENCY": "0",
    "BRIDGETENDER_LOG_FORMAT": "xml",
    "BRIDGETENDER_LOG_LEVEL": "LOUD",
    "BRIDGETENDER_HISTORY_DAYS": "a while",
}


def test_what_the_field_sets_is_enough_and_the_rest_has_defaults() -> None:
    settings = from_environment(RIGHT)
    assert settings.database_url == Secret(RIGHT["DATABASE_URL"])
    assert settings.bridge_url == RIGHT["TRADING_BRIDGE_URL"]
    assert settings.bridge_token is None
    assert (settings.health_host, settings.health_port) == ("127.0.0.1", 9464)
    assert (settings.concurrency, settings.log_json, settings.log_level) == (32, True, "INFO")


def test_every_setting_is_read_from_its_place() -> None:
    settings = from_environment(
        RIGHT
        | {
            "TRADING_BRIDGE_TOKEN": "t",
            "BRIDGETENDER_HEALTH_HOST": "0.0.0.0",
            "BRIDGETENDER_HEALTH_PORT": "0",
            "BRIDGETENDER_CONCURRENCY": "7",
            "BRIDGETENDER_LOG_FORMAT": "console",
            "BRIDGETENDER_LOG_LEVEL": "debug",
            "BRIDGETENDER_HISTORY_DAYS": "90",
            "BRIDGETENDER_LISTEN_URL": "postgresql://direct/shop",
            "BRIDGETENDER_LEASE_SECONDS": "30",
            "BRIDGETENDER_POLL_SECONDS": "2",
            "BRIDGETENDER_RESYNC_SECONDS": "60",
        }
    )
    assert settings.bridge_token == Secret("t")
    assert (settings.health_host, settings.health_port) == ("0.0.0.0", 0)
    assert (settings.concurrency, settings.log_json, settings.log_level) == (7, False, "DEBUG")
    assert settings.history_days == 90
    assert settings.listen_url == Secret("postgresql://direct/shop")
    assert settings.lease_seconds == 30
    assert (settings.poll_seconds, settings.resync_seconds) == (2, 60)


def test_listening_can_be_turned_off() -> None:
    assert from_environment(RIGHT).listen_url is None
    assert from_environment(RIGHT | {"BRIDGETENDER_LISTEN_URL": "OFF"}).listen_url == Secret("")


def test_every_wrong_setting_is_named_at_once_with_what_is_expected() -> None:
    with pytest.raises(BadSettings) as caught:
        from_environment(WRONG)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].split()[0] for line in lines] == [
        *("DATABASE_URL", "ENCRYPTION_KEY", "TRADING_BRIDGE_URL"),
        *("BRIDGETENDER_HEALTH_PORT", "BRIDGETENDER_CONCURRENCY", "BRIDGETENDER_LOG_FORMAT"),
        *("BRIDGETENDER_LOG_LEVEL", "BRIDGETENDER_HISTORY_DAYS"),
    ]
    assert "is not a whole number from 0 to 65535" in lines[3]
    assert "is neither 'json' nor 'console'" in lines[5]


@pytest.mark.parametrize("number", ["-1", "1.5", "٣", "1e3", "9" * 5_000, "0x10", " "])
def test_a_number_is_written_in_plain_digits(number: str) -> None:
    environment = RIGHT | {"BRIDGETENDER_CONCURRENCY": number}
    if number == " ":
        assert from_environment(environment).concurrency == 32
        return
    with pytest.raises(BadSettings, match=r"^BRIDGETENDER_CONCURRENCY: "):
        from_environment(environment)


def test_a_setting_may_come_from_a_file_and_loses_the_line_break(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    environment = {name: text for name, text in RIGHT.items() if name != "ENCRYPTION_KEY"}
    from_environment(environment | {"ENCRYPTION_KEY_FILE": str(file)})


def test_a_file_that_does_not_do_is_named_with_its_path(tmp_path: Path) -> None:
    empty, binary, wrong = (tmp_path / name for name in ("empty", "binary", "wrong"))
    empty.write_text(" \n")
    binary.write_bytes(b"\xff\xfe")
    wrong.write_text("hunter2-is-no-fernet-key")
    cases = {
        tmp_path / "missing": "cannot be read: No such file",
        tmp_path: "cannot be read: Is a directory",
        binary: "cannot be read: it is not a text file",
        empty: "is empty or not set",
        wrong: "key 1 is not a Fernet key",
    }
    for path, complaint in cases.items():
        with pytest.raises(BadSettings, match=r"^ENCRYPTION_KEY_FILE") as caught:
            from_environment(RIGHT | {"ENCRYPTION_KEY_FILE": str(path)})
        assert str(path) in str(caught.value)
        assert complaint in str(caught.value)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(BadSettings, match="cannot be read"):
        from_environment(RIGHT | {"ENCRYPTION_KEY_FILE": "a\x00b"})


def test_secrets_never_print() -> None:
    settings = from_environment(RIGHT | {"TRADING_BRIDGE_TOKEN": "hunter2"})
    assert "hunter2" not in repr(settings)
    assert KEY not in repr(settings)
    with pytest.raises(BadSettings) as caught:
        from_environment(WRONG)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_command_that_needs_less_is_told_of_less() -> None:
    @dataclass(frozen=True, slots=True)
    class Few:
        database_url: Secret
        health_port: int = 1

    assert read({"DATABASE_URL": "x"}, Few) == Few(Secret("x"), 1)
    with pytest.raises(BadSettings) as caught:
        read({"ENCRYPTION_KEY": "nonsense"}, Few)
    assert len(str(caught.value).splitlines()) == 1


def test_every_field_but_the_name_of_the_bridge_can_be_set() -> None:
    asked: set[str] = set()

    class Asked(dict[str, str]):
        def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
            asked.add(name.removesuffix("_FILE"))
            return super().get(name, default)

    from_environment(Asked(RIGHT))
    assert len(asked) == len(fields(Settings)) - 1
