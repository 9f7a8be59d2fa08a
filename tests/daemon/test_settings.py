import tempfile
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from daemon.bridges.access import Access
from daemon.every_setting import BRIDGE, SETTINGS
from daemon.settings import (
    EMBEDDED,
    OURS,
    BadSettings,
    BridgeSettings,
    Settings,
    open_files,
    read,
    unknown,
)
from daemon.vault import new_key
from reconciler.model import BridgeName, ClientId, Secret
from reconciler.routes import MAIN, Routes

KEY = new_key().reveal()
SECOND = timedelta(seconds=1)
RIGHT = {
    "BRIDGETENDER_CONFIG": "",
    "DATABASE_URL": "postgresql://user:hunter2@db/shop",
    "ENCRYPTION_KEY": KEY,
    "TRADING_BRIDGE_URL": "http://127.0.0.1:8700",
}
WRONG = {
    "BRIDGETENDER_CONFIG": "",
    "DATABASE_URL": "mysql://user:hunter2@db/shop",
    "ENCRYPTION_KEY": "hunter2-is-no-fernet-key",
    "BRIDGETENDER_HEALTH_PORT": "65536",
    "BRIDGETENDER_LOG_FORMAT": "xml",
    "BRIDGETENDER_LOG_LEVEL": "LOUD",
    "BRIDGETENDER_HISTORY_DAYS": "a while",
    "BRIDGETENDER_CONCURRENCY": "0",
    "BRIDGETENDER_RESYNC_SECONDS": "often",
    "BRIDGETENDER_EXCHANGE_RATES": "binance=fast",
    "BRIDGETENDER_API_PROXIES": "the-ingress",
    "TRADING_BRIDGE_URL": "http://bridge.example",
    "TRADING_BRIDGE_CA_FILE": "relative.pem",
}
TWO = """
health_port = 1234
log_format = "console"

[bridges.main]
url = "https://one.example"
token = "token-of-one"

[bridges.second]
url = "https://two.example:8443"
user = "me"
password_file = "{secret}"
exchanges = ["okx", "gateio"]
clients = ["Acme Capital", "00000000-0000-0000-0000-000000000007"]
concurrency = 4
"""


def settings_of(**environment: str) -> Settings:
    return read(RIGHT | environment, Settings)


def mistakes(environment: dict[str, str]) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        read(environment, Settings)
    assert caught.value.__cause__ is None
    return str(caught.value).splitlines()


def config(directory: Path, text: str) -> dict[str, str]:
    """Return an environment that names a TOML file, and no bridge of its own."""
    file = directory / "bridgetender.toml"
    file.write_text(text)
    named = {name: RIGHT[name] for name in ("DATABASE_URL", "ENCRYPTION_KEY")}
    return named | {"BRIDGETENDER_CONFIG": str(file)}


def test_what_the_field_sets_is_enough_and_the_rest_has_defaults() -> None:
    settings = settings_of()
    assert settings.database_url == Secret(RIGHT["DATABASE_URL"])
    assert settings.bridges == (BridgeSettings(MAIN, RIGHT["TRADING_BRIDGE_URL"]),)
    assert (settings.health_host, settings.health_port) == ("127.0.0.1", 9464)
    assert (settings.log_json, settings.log_level) == (None, "INFO")


def test_without_anything_set_the_daemon_brings_its_own() -> None:
    settings = read({"BRIDGETENDER_CONFIG": ""}, Settings)
    assert (settings.database_url, settings.keyring) == (EMBEDDED, None)
    assert settings.bridges == (BridgeSettings(MAIN, OURS),)


def test_somebody_elses_database_needs_the_encryption_key_it_was_written_with() -> None:
    environment = {name: text for name, text in RIGHT.items() if name != "ENCRYPTION_KEY"}
    (line,) = mistakes(environment)
    assert line.startswith("ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) is empty or not set: a Fernet")


def test_every_setting_is_read_from_its_place() -> None:
    settings = settings_of(
        TRADING_BRIDGE_TOKEN="t",
        TRADING_BRIDGE_CA_FILE="/ca.pem",
        TRADING_BRIDGE_PLAIN_HTTP="true",
        BRIDGETENDER_HEALTH_HOST="0.0.0.0",
        BRIDGETENDER_HEALTH_PORT="0",
        BRIDGETENDER_CONCURRENCY="7",
        BRIDGETENDER_CONCURRENCY_START="3",
        BRIDGETENDER_EXCHANGE_RATES="gateio=2.5, *=0",
        BRIDGETENDER_LOG_FORMAT="console",
        BRIDGETENDER_LOG_LEVEL="debug",
        BRIDGETENDER_HISTORY_DAYS="90",
        BRIDGETENDER_AUDIT_DAYS="800",
        BRIDGETENDER_LISTEN_URL="postgresql://direct/shop",
        BRIDGETENDER_LEASE_SECONDS="30",
        BRIDGETENDER_POLL_SECONDS="2",
        BRIDGETENDER_RESYNC_SECONDS="12.5",
        BRIDGETENDER_STATE_DIR="/srv/state",
        BRIDGETENDER_API_PROXIES="10.0.0.7, 10.1.0.0/16",
    )
    assert settings.api_proxies == {"10.0.0.7", "10.1.0.0/16"}
    (bridge,) = settings.bridges
    assert bridge.access == Access(Secret("t"), ca_file=Path("/ca.pem"))
    assert bridge.plain_http
    assert (settings.health_host, settings.health_port) == ("0.0.0.0", 0)
    assert (settings.log_json, settings.log_level) == (False, "DEBUG")
    assert (settings.history_days, settings.audit_days) == (90, 800)
    assert settings.state_dir == Path("/srv/state")
    assert settings.rules.resync == timedelta(seconds=12.5)
    assert settings.rules_of(bridge).concurrency == 7
    assert settings.rules.concurrency_start == 3
    assert settings.rules.rates == {"gate": 2.5, "*": 0}
    assert settings.listen_url == Secret("postgresql://direct/shop")
    assert settings.poll == timedelta(seconds=2)
    assert (settings.rules.lease, settings.rules.renew) == (30 * SECOND, 10 * SECOND)


def test_a_first_token_that_could_be_guessed_is_refused_and_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "first"
    file.write_text("f" * 32 + "\n")
    path = {"BRIDGETENDER_FIRST_TOKEN_FILE": str(file)}
    assert settings_of(**path).first_token == Secret("f" * 32)
    for wrong in ("changeme", "f" * 31, "f" * 201, "f" * 20 + " " + "f" * 20):
        file.write_text(wrong)
        (said,) = mistakes(RIGHT | path)
        assert said.startswith("BRIDGETENDER_FIRST_TOKEN_FILE (")
        assert wrong not in said


def test_listening_can_be_turned_off() -> None:
    assert settings_of().listen_url is None
    assert settings_of(BRIDGETENDER_LISTEN_URL="OFF").listen_url == Secret("")


def test_every_wrong_setting_is_named_at_once_with_what_is_expected() -> None:
    lines = mistakes(WRONG)
    assert {line.split(":")[0].split()[0] for line in lines} == WRONG.keys() - {
        "BRIDGETENDER_CONFIG"
    }
    assert any("is not a whole number from 0 to 65535" in line for line in lines)
    assert any("is neither 'json' nor 'console'" in line for line in lines)
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize("number", ["-1", "1.5", "٣", "1e3", "9" * 5_000, "0x10"])
def test_a_number_is_written_in_plain_digits(number: str) -> None:
    (line,) = mistakes(RIGHT | {"BRIDGETENDER_CONCURRENCY": number})
    assert line.startswith("BRIDGETENDER_CONCURRENCY: ")


def test_a_setting_may_come_from_a_file_and_loses_the_line_break(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    environment = {name: text for name, text in RIGHT.items() if name != "ENCRYPTION_KEY"}
    assert read(environment | {"ENCRYPTION_KEY_FILE": str(file)}, Settings).keyring is not None


def test_a_setting_and_its_file_are_not_both_taken(tmp_path: Path) -> None:
    (line,) = mistakes(RIGHT | {"ENCRYPTION_KEY_FILE": str(tmp_path)})
    assert line == "ENCRYPTION_KEY and ENCRYPTION_KEY_FILE are both set: take one away"


def test_a_file_that_does_not_do_is_named_with_its_path(tmp_path: Path) -> None:
    empty, binary, wrong = (tmp_path / name for name in ("empty", "binary", "wrong"))
    empty.write_text(" \n")
    binary.write_bytes(b"\xff\xfe")
    wrong.write_text("hunter2-is-no-fernet-key")
    cases = {
        str(tmp_path / "missing"): "cannot be read: No such file",
        str(tmp_path): "cannot be read: Is a directory",
        str(binary): "cannot be read: it is not a text file",
        str(empty): "is empty or not set",
        str(wrong): "key 1 is not a Fernet key",
        "a\x00b": "cannot be read",
    }
    environment = {name: text for name, text in RIGHT.items() if name != "ENCRYPTION_KEY"}
    for path, complaint in cases.items():
        (line,) = mistakes(environment | {"ENCRYPTION_KEY_FILE": path})
        assert line.startswith("ENCRYPTION_KEY_FILE")
        assert complaint in line
        assert "hunter2" not in line


@pytest.mark.parametrize("name", [each.name for each in (*SETTINGS.values(), *BRIDGE.values())])
def test_a_file_with_nothing_in_it_is_named_with_what_is_expected(
    name: str, tmp_path: Path
) -> None:
    variable = f"{'TRADING_BRIDGE' if name in BRIDGE else 'BRIDGETENDER'}_{name.upper()}_FILE"
    (tmp_path / "empty").write_text("\n")
    said = mistakes({"BRIDGETENDER_CONFIG": "", variable: str(tmp_path / "empty")})
    (line,) = (line for line in said if line.startswith(variable))
    place, _, expected = line.partition(" is empty or not set: ")
    assert place.endswith(f"({tmp_path / 'empty'})")
    assert len(expected) > len("https://host")


def test_a_credential_of_systemd_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "encryption_key").write_text(KEY)
    (tmp_path / "bridge-main-token").write_text("t\n")
    (tmp_path / "bridge-main-key_file").write_text("a private key")
    (tmp_path / "bridge-main-cert_file").write_text("a certificate")
    environment = {name: text for name, text in RIGHT.items() if name != "ENCRYPTION_KEY"}
    settings = read(environment | {"CREDENTIALS_DIRECTORY": str(tmp_path)}, Settings)
    (bridge,) = settings.bridges
    assert settings.keyring is not None
    assert bridge.access.token == Secret("t")
    assert bridge.access.key_file == tmp_path / "bridge-main-key_file"


def test_a_toml_file_says_the_same_and_the_environment_outweighs_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    environment = config(tmp_path, TWO.format(secret=secret))
    settings = read(environment | {"BRIDGETENDER_HEALTH_PORT": "4321"}, Settings)
    one, two = settings.bridges
    assert (settings.health_port, settings.log_json) == (4321, False)
    assert (one.url, one.access.token) == ("https://one.example", Secret("token-of-one"))
    assert (two.access.user, two.access.password) == ("me", Secret("hunter2"))
    assert (settings.rules_of(one).concurrency, settings.rules_of(two).concurrency) == (64, 4)


def test_rules_say_which_key_goes_to_which_bridge(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    routes = read(config(tmp_path, TWO.format(secret=secret)), Settings).routes
    second = BridgeName("second")
    assert routes.default == MAIN
    seventh, eighth = ClientId(UUID(int=7)), ClientId(UUID(int=8))
    assert routes.bridge_of(eighth, "Birch", "binance") == MAIN
    assert routes.bridge_of(eighth, "Birch", "GateIO") == second
    assert routes.bridge_of(eighth, " acme capital", "binance") == second
    assert routes.bridge_of(seventh, "Birch", "binance") == second


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port = 1", "port: there is no such setting"),
        ("helth_port = 1", "helth_port: there is no such setting (did you mean health_port?)"),
        ("[bridges.main]\nurll = 'x'", "[bridges.main] urll: there is no such setting"),
        ("health_port = [1]", "health_port: is neither text, a number, true, false nor a list"),
        ("health_port = ['1']", "health_port: is a list and should be text"),
        ("health_port = true", "health_port: is not a whole number"),
        ("bridges = 3", "bridges: each bridge is a table of its own: [bridges.NAME]"),
        ("[bridges]\nmain = 3", "bridges: each bridge is a table of its own: [bridges.NAME]"),
        ("health_port = ", "is not TOML"),
        ("[bridges.a]\n[bridges.b]", "say 'default = true' in exactly one of"),
        (
            "[bridges.a]\ndefault = true\n[bridges.b]\ndefault = true",
            "say 'default = true' in exactly one of",
        ),
        ("[bridges.a]\ndefault = true\n[bridges.b]", "[bridges.b]: gets no keys"),
        (
            "[bridges.a]\n[bridges.b]\nexchanges=['gate']\n[bridges.c]\nexchanges=['gateio']",
            "exchanges: 'gate': is named in more than one bridge",
        ),
        ("[bridges.main]\nuser = 'me'", "[bridges.main] user: user and password are set together"),
        (
            "[bridges.main]\nuser = 'me'\npassword = 'x'\ntoken = 'y'",
            "[bridges.main] token: say either a token or user and password",
        ),
        ("[bridges.main]\nkey_file = '/k.pem'", "[bridges.main] cert_file: is missing"),
        ("[bridges.a]\ndefault = true\n[bridges.b]\nexchanges = ['okx']", "have no URL"),
        ("[bridges.main]\ntoken = 'a b'", "[bridges.main] token: holds a blank"),
        ("[bridges.main]\nproxy = 'nowhere:7'", "[bridges.main] proxy: is not the URL of a proxy"),
        ("[bridges.'a b']", "a bridge's name has letters, digits, - and _ only"),
        ("lease_seconds = 1", "lease_seconds: is not a number of seconds from 3 to 600"),
    ],
)
def test_what_a_toml_file_gets_wrong_is_named_with_its_place(
    tmp_path: Path, text: str, complaint: str
) -> None:
    lines = mistakes(config(tmp_path, text))
    assert any(complaint in line for line in lines), lines


def test_a_bridge_of_the_environment_and_others_of_the_file_do_not_mix(tmp_path: Path) -> None:
    environment = config(tmp_path, "[bridges.other]") | {"TRADING_BRIDGE_URL": "https://b.example"}
    (line,) = mistakes(environment)
    assert line.startswith("TRADING_BRIDGE_URL: is about the bridge 'main'")


def test_a_variable_that_sets_nothing_is_named_with_what_may_be_meant() -> None:
    environment = {
        "BRIDGETENDER_HELTH_PORT": "1",
        "TRADING_BRIDGE_URI": "x",
        "BRIDGETENDER_PORT": "tcp://10.0.0.1:9464",
        "BRIDGETENDER_SERVICE_HOST": "10.0.0.1",
        "BRIDGETENDER_HEALTH_PORT": "1",
        "TRADING_BRIDGE_TOKEN_FILE": "/x",
    }
    assert unknown(environment) == [
        "BRIDGETENDER_HELTH_PORT (did you mean BRIDGETENDER_HEALTH_PORT?)",
        "TRADING_BRIDGE_URI (did you mean TRADING_BRIDGE_URL?)",
    ]


def test_files_with_secrets_that_everybody_may_read_are_named() -> None:
    with tempfile.TemporaryDirectory() as made:  # pytest's own is for us alone
        place = Path(made)
        place.chmod(0o755)
        for name, mode in {"key": 0o644, "token": 0o640, "config": 0o644, "plain": 0o644}.items():
            (place / name).write_text("")
            (place / name).chmod(mode)
        (place / "plain").write_text('database_url = "embedded"\n[bridges.main]\nuser = "u"\n')
        (place / "config").write_text('[bridges.main]\npassword = "hunter2"\n')
        said = {
            "ENCRYPTION_KEY_FILE": f"{place}/key",
            "TRADING_BRIDGE_TOKEN_FILE": f"{place}/token",
            "BRIDGETENDER_CONFIG": f"{place}/plain",
        }
        assert open_files(said) == [place / "key"]
        said["BRIDGETENDER_CONFIG"] = f"{place}/config"
        assert open_files(said) == [place / "key", place / "config"]
        said["BRIDGETENDER_WEBHOOK_SECRET_FILE"] = f"{place}/plain"
        assert set(open_files(said)) == {place / "key", place / "config", place / "plain"}
        place.chmod(0o700)
        assert open_files(said) == []


@pytest.mark.parametrize("port", ["0", "65536", "99999999"])
def test_a_port_that_is_none_is_no_database_url(port: str) -> None:
    (line,) = mistakes(RIGHT | {"DATABASE_URL": f"postgresql://u:p/w@db:{port}/shop"})
    assert line.startswith("DATABASE_URL: is not a PostgreSQL URL")
    right = "postgresql://u:p/w:1@db:5432/shop"
    assert settings_of(DATABASE_URL=right).database_url == Secret(right)


SIGNED = {"BRIDGETENDER_WEBHOOK_SECRET": "a-secret-of-some-length-for-signing"}


@pytest.mark.parametrize(
    "url",
    [
        "https://firm.example/hooks/x?y=z",
        "http://127.0.0.1:8080/",
        "http://[::1]/x",
        "http://localhost",
    ],
)
def test_a_webhook_is_reached_by_https_or_on_this_machine(url: str) -> None:
    settings = settings_of(BRIDGETENDER_WEBHOOK_URL=url, **SIGNED)
    assert settings.webhook_url == Secret(url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://firm.example/", "http://127.0.0.1.firm.example/", "ftp://127.0.0.1/"),
        *("https:///x", "https://user:password@firm.example/", "https://firm.example/a b"),
        *("https://firm.example:0/", "http://127.0.0.1@firm.example/"),
    ],
)
def test_another_webhook_is_refused_and_not_repeated(url: str) -> None:
    (line,) = mistakes(RIGHT | SIGNED | {"BRIDGETENDER_WEBHOOK_URL": url})
    assert line.startswith("BRIDGETENDER_WEBHOOK_URL: ")
    assert url not in line


@pytest.mark.parametrize("secret", ["too short", "whsec_no base64", "whsec_c2hvcnQ=", "whsec_"])
def test_a_webhooks_secret_is_long_enough(secret: str) -> None:
    wrong = {"BRIDGETENDER_WEBHOOK_SECRET": secret}
    wrong |= {"BRIDGETENDER_WEBHOOK_URL": "https://firm.example/"}
    (line,) = mistakes(RIGHT | wrong)
    assert line.startswith("BRIDGETENDER_WEBHOOK_SECRET: ")
    assert secret not in line


def test_a_webhook_without_a_secret_is_a_mistake() -> None:
    (line,) = mistakes(RIGHT | {"BRIDGETENDER_WEBHOOK_URL": "https://firm.example/"})
    assert line.startswith("BRIDGETENDER_WEBHOOK_SECRET (or BRIDGETENDER_WEBHOOK_SECRET_FILE)")


def test_what_kubernetes_says_of_a_service_is_no_bridge(tmp_path: Path) -> None:
    said = {"TRADING_BRIDGE_PORT": "tcp://10.0.0.1:8700", "TRADING_BRIDGE_URL": " "}
    settings = read(config(tmp_path, "[bridges.other]") | said, Settings)
    assert [bridge.name for bridge in settings.bridges] == ["other"]


def test_a_wrong_encryption_key_of_a_file_is_named_once(tmp_path: Path) -> None:
    text = "database_url = 'postgresql://db/x'\nencryption_key = 'nonsense'"
    named = {"BRIDGETENDER_CONFIG": config(tmp_path, text)["BRIDGETENDER_CONFIG"]}
    assert len(mistakes(named)) == 1


def test_secrets_never_print(tmp_path: Path) -> None:
    settings = settings_of(TRADING_BRIDGE_TOKEN="hunter2")
    assert "hunter2" not in repr(settings)
    assert KEY not in repr(settings)
    text = "database_url = 'postgresql://me:hunter2@db/x'\nencryption_key = 'hunter2'"
    for line in mistakes({"BRIDGETENDER_CONFIG": config(tmp_path, text)["BRIDGETENDER_CONFIG"]}):
        assert "hunter2" not in line


def test_a_command_that_needs_less_is_told_of_less() -> None:
    @dataclass(frozen=True, slots=True)
    class Few:
        database_url: Secret
        health_port: int = 1

    url = "postgresql://db/x"
    nothing = {"BRIDGETENDER_CONFIG": ""}
    assert read(nothing | {"DATABASE_URL": url}, Few) == Few(Secret(url), 1)
    with pytest.raises(BadSettings) as caught:
        read(nothing | {"ENCRYPTION_KEY": "nonsense"}, Few)
    assert len(str(caught.value).splitlines()) == 1


def test_every_field_can_be_set() -> None:
    asked: set[str] = set()

    class Asked(dict[str, str]):
        def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
            asked.add(name.removesuffix("_FILE"))
            return super().get(name, default)

    read(Asked(RIGHT), Settings)
    known = {"database_url": "DATABASE_URL", "keyring": "ENCRYPTION_KEY"}
    known |= {"log_json": "BRIDGETENDER_LOG_FORMAT", "poll": "BRIDGETENDER_POLL_SECONDS"}
    known |= {"balances": "BRIDGETENDER_BALANCES_SECONDS"}
    known["webhook_ca_file"] = "BRIDGETENDER_WEBHOOK_CA"
    known["webhook_pause"] = "BRIDGETENDER_WEBHOOK_PAUSE_SECONDS"
    wanted = {field.name for field in fields(Settings)} - {"bridges", "rules"}
    assert {known.get(name, f"BRIDGETENDER_{name.upper()}") for name in wanted} <= asked
    of_bridge = {field.name for kind in (BridgeSettings, Access) for field in fields(kind)}
    of_bridge -= {"name", "access"}
    paths = {name.removesuffix("_file") for name in of_bridge}
    assert {f"TRADING_BRIDGE_{name.upper()}" for name in paths} <= asked


def test_one_bridge_gets_everything() -> None:
    assert settings_of().routes == Routes(MAIN)
