"""Every setting there is: what it is called, what reads it, what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from daemon import values
from daemon.sources import CONFIG
from daemon.values import Reader, Seconds, Whole, of_text


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, in words of Markdown for `docs/settings.md`.

    *example* is told where it is missing; *unset* says what then holds, unless the default is told
    by the value itself.
    """

    name: str
    read: Reader
    means: str
    unset: str = ""
    example: str = ""


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "database_url": Setting(
            "database_url",
            of_text(values.database),
            "PostgreSQL, in any spelling of `postgresql://user:password@host:5432/database`",
            unset="[one of its own](operations.md#the-embedded-database)",
            example="postgresql://user:password@host:5432/database",
        ),
        "keyring": Setting(
            "encryption_key",
            of_text(values.keyring),
            "[Fernet key](operations.md#the-encryption-key), or several with commas between: the"
            " first encrypts, all decrypt",
            unset="needed with `DATABASE_URL`; the embedded database has one",
            example="a Fernet key, or several; see 'bridgetender new-key'",
        ),
        "listen_url": Setting(
            "listen_url",
            of_text(values.listen),
            "where LISTEN goes, past a pooler; `off`: only poll",
            unset="`DATABASE_URL`",
        ),
        "state_dir": Setting(
            "state_dir",
            of_text(values.path),
            "where the embedded database, its keyring and our own bridge live",
            unset="`/var/lib/bridgetender`, or the user's",
        ),
        "health_host": Setting("health_host", values.text, "where health and metrics listen"),
        "health_port": Setting("health_port", values.PORT, "and at which port; 0: any"),
        "api_host": Setting("api_host", values.text, "where the API and the console listen"),
        "api_port": Setting("api_port", values.PORT, "and at which port; 0: any"),
        "api_proxies": Setting(
            "api_proxies",
            values.proxies,
            "addresses or networks of proxies before the API, which are believed for whom they ask"
            " (`X-Forwarded-For`) and whether by https (`X-Forwarded-Proto`): they have to"
            " overwrite both; `*` is everybody",
            unset="nobody",
        ),
        "first_token": Setting(
            "first_token",
            of_text(values.first_token),
            "32 to 200 characters, which become an admin's token named `first` if the database"
            " knows no token; better as `..._FILE`",
            unset="none; see `bridgetender token create`",
            example="32 to 200 characters; see 'openssl rand -hex 32'",
        ),
        "console_url": Setting(
            "console_url",
            of_text(values.web_address),
            "where people reach the console, for links to it",
            unset="no links",
        ),
        "balances": Setting(
            "balances_seconds",
            Seconds(0.1, 30),
            "that an exchange may take to tell a client's balances; then the others are shown, and"
            " of it those of before, with their age",
        ),
        "history_days": Setting(
            "history_days",
            Whole(1, 36_500),
            "how long the [history](operations.md#history) is kept",
        ),
        "audit_days": Setting("audit_days", Whole(2, 36_500), "how long it is kept who did what"),
        "poll": Setting(
            "poll_seconds",
            Seconds(0.1, 600),
            "between two looks while LISTEN is away, and at the database",
        ),
        "webhook_url": Setting(
            "webhook_url",
            of_text(values.webhook),
            "where owners are [told](operations.md#tell-the-owner)",
            unset="nobody is told",
            example="https://host/path",
        ),
        "webhook_secret": Setting(
            "webhook_secret",
            of_text(values.webhook_secret),
            "what that is signed with",
            unset="needed with a webhook",
            example="24 bytes or more; see 'openssl rand -hex 32'",
        ),
        "webhook_ca_file": Setting(
            "webhook_ca_file",
            of_text(values.path),
            "PEM: believe this CA of the receiver's, and no other",
            unset="the system's",
        ),
        "webhook_pause": Setting(
            "webhook_pause_seconds",
            Seconds(0, 864_000),
            "between two messages about one key, at the least",
        ),
        "log_json": Setting(
            "log_format",
            of_text(values.is_json),
            "`json` or `console`",
            unset="`console` on a terminal, else `json`",
        ),
        "log_level": Setting(
            "log_level", of_text(values.level), "`DEBUG`, `INFO`, `WARNING`, `ERROR`"
        ),
    }
)
RULES: Mapping[str, Setting] = MappingProxyType(
    {
        "concurrency": Setting(
            "concurrency", Whole(1, 1_000), "attempts at once on a bridge, at most"
        ),
        "concurrency_start": Setting(
            "concurrency_start",
            Whole(1, 1_000),
            "and at first; in between [as it goes well](operations.md#pacing)",
        ),
        "rates": Setting(
            "exchange_rates",
            values.rates,
            "attempts a second for an exchange: `binance=5, *=10`; `*` is every other, 0 no limit",
        ),
        "resync": Setting("resync_seconds", Seconds(1, 3_600), "between two listings of a bridge"),
        "pulse": Setting(
            "pulse_seconds",
            Seconds(0.1, 3_600),
            "between two looks whether a bridge is still the one that was listed",
        ),
        "second_look": Setting(
            "second_look_seconds",
            Seconds(0.1, 60),
            "until what one listing lacks is looked for again",
        ),
        "lease": Setting(
            "lease_seconds",
            Seconds(3, 600),
            "how long a bridge waits for a replica that died; renewed three times as often",
        ),
        "verify_every": Setting(
            "verify_every_seconds",
            Seconds(10, 864_000),
            "between two proofs of a live connector",
        ),
        "verify_again": Setting(
            "verify_again_seconds",
            Seconds(1, 86_400),
            "after a proof that told neither yes nor no",
        ),
        "recheck_refused": Setting(
            "recheck_refused_seconds",
            Seconds(60, 8_640_000),
            "until a key that its exchange refuses is tried again",
        ),
        "recheck_unsupported": Setting(
            "recheck_unsupported_seconds",
            Seconds(60, 8_640_000),
            "until a key that its bridge cannot use or that nobody can decrypt is tried again",
        ),
        "grace": Setting(
            "grace_seconds", Seconds(0, 600), "how long a stop waits for what is under way"
        ),
    }
)
BRIDGE: Mapping[str, Setting] = MappingProxyType(
    {
        "url": Setting(
            "url",
            values.text,
            "`https://host:port`, `unix:/path`, or `http://` on loopback",
            unset="our own bridge, started with the daemon",
            example="https://host:port, http://127.0.0.1:port, unix:/path",
        ),
        "token": Setting("token", of_text(values.token), "a bearer token to come with"),
        "user": Setting("user", values.text, "basic auth instead of a token"),
        "password": Setting("password", of_text(values.secret), "the user's"),
        "ca_file": Setting(
            "ca_file", of_text(values.path), "PEM: believe this CA and no other", "the system's"
        ),
        "cert_file": Setting("cert_file", of_text(values.path), "PEM: who we are, with its chain"),
        "key_file": Setting(
            "key_file", of_text(values.path), "PEM: its key, if it is not in the same file"
        ),
        "proxy": Setting(
            "proxy",
            of_text(values.proxy),
            "URL of a proxy on the way to it; the environment's are never used",
        ),
        "plain_http": Setting(
            "plain_http", of_text(values.yes), "`true` allows `http://` beyond loopback"
        ),
        "concurrency": Setting(
            "concurrency",
            Whole(1, 1_000),
            "attempts at once on this bridge, at most",
            "`BRIDGETENDER_CONCURRENCY`",
        ),
        "default": Setting(
            "default",
            of_text(values.yes),
            "`true`: it gets what no rule names",
            "`true` for the only bridge without rules",
        ),
        "exchanges": Setting("exchanges", values.texts, "a rule: keys on these exchanges go there"),
        "clients": Setting(
            "clients", values.texts, "a rule: all keys of these go there, by name or id"
        ),
    }
)
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        CONFIG: "the TOML file; empty: none, whatever lies in its usual place",
        "BRIDGETENDER_POSTGRES_BIN": "where `initdb` and `postgres` of the embedded database are",
        "BRIDGETENDER_DEBUG": "`1`: a command that fails by our mistake shows where",
        "BRIDGETENDER_SKIPS_FORBIDDEN": "`1`: a test that would be skipped fails; for the gate",
    }
)
"""Variables of the environment that are read elsewhere, and are in no file."""
