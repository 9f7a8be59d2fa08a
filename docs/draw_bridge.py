"""Draws bridge.md by asking the code: `python -m docs.draw_bridge > docs/bridge.md`."""

import argparse
import json
from typing import Any

from bridge.__main__ import options
from bridge.app import create_app
from bridge.egress_file import FIELDS
from bridge.errors import KINDS
from bridge.metrics import Metrics
from bridge.openapi import SENT, describe

HEAD = """# The Trading Bridge

A service of its own: it holds exchange connectors of many accounts in memory and proves them with
real calls, over ccxt. It forgets everything when it restarts, and has another `boot_id` then; who
keeps the keys, as Bridgetender does, adds them again. Drawn from the code by `python -m
docs.draw_bridge`.

## Run it

```
python -m bridge --uds /run/bridge.sock                      # for processes of this user
python -m bridge --port 8700 --token-file /etc/bridge/token  # on 127.0.0.1, with a bearer token
```

Beyond this machine (`--host`) it listens only with TLS (`--tls-cert`, `--tls-key`) and
`--token-file`, unless told `--insecure`. Without a token everybody who reaches the address may do
everything. `/livez`, `/readyz` and `/health` need no token, `/metrics` (Prometheus) and
`/openapi.json` do. At start it warns of files with secrets that everybody may read: `chmod 600`;
options that cannot work, an address that is taken among them, are named, with exit code 2.

A certificate that is renewed in its place is taken within a second, or at once by `SIGHUP`. Until
both files fit each other the last ones are shown, and `certificate_unusable` in the log says why.

| option | means |
|---|---|
"""
REQUESTS = """
There is no environment variable of its own: it reads systemd's `NOTIFY_SOCKET` and `WATCHDOG_USEC`,
and no other.

## Requests

`/openapi.json` describes every request, answer and error, with examples. Bodies are JSON and say so
in `Content-Type`. Listings are sorted and know `ETag` and 304; with `limit` they come in pages, and
`next_cursor` is the `cursor` of the next one. An add makes its account, which goes with its last
connector.

| request | may fail with |
|---|---|
"""
CURL = """
For example, with the token in `$TOKEN`, and curl 7.82 or newer:

```
"""
ERRORS = """```

A backend of the bridge's usual contract works unchanged: `tests/bridge/story_client.py` is one.
What is new for it is optional: `fingerprint`, a label that comes back in the listing and makes an
add that is repeated change nothing; `verify=true`, which proves before it adds; `is_testnet`, which
says the same as a connector's name that ends in `_testnet`; `wait`, the seconds after which
`/portfolio` tells what is there, and of the others `timeout`: their answers are kept for 30 s.

Balances are those that ccxt's `fetch_balance` tells. Only of a classic Bybit account the spot
wallet is shown, where ccxt asks for the contract one.

## Errors

Every error is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail` for
people, `code` for programs, and `retry_after` in seconds where the exchange said so or the bridge
keeps quiet for so long. None repeats what was sent. An exchange that fails in `/portfolio` is a
`{"error", "code"}` beside the balances of the others.

| code | status | means | what to do |
|---|---|---|---|
"""
EGRESS = """
Some that no route decides on have another status: `malformed` is also 400 (a body that cannot be
read), 405, 406, 413 (over 256 KiB) and 415; `unauthorized` is 401, a missing or wrong token;
`unclear` with 500 is an accident inside the bridge.

## Ways out

Exchanges bind keys to addresses. `--egress FILE` says by which proxy, or from which address of this
machine, each account and exchange is asked. The first rule that matches wins; without one the way
is direct. Proxy variables of the environment are ignored. Public data goes by the first rule of the
exchange that is for every account.

```toml
[[egress]]
name = "fra-1"
account = "client_*"
exchange = ["binance", "okx"]
proxy = "http://10.0.0.5:3128"
credentials_file = "/etc/bridge/fra-1"

[[egress]]
local_address = "203.0.113.7"
```

| field | means |
|---|---|
"""
METRICS = """
What is wrong with the file is told at start, all of it, by line and without passwords. A proxy that
refuses, hangs or is away, and a certificate that is not trusted on the way, are `unavailable` in
words that name the way, and never count against a key. Each way has a pace of its own.

## Metrics

`/metrics` has Prometheus' text format. An exchange's series begin with its first call and end with
its last connector; no label is an account or a key. `process_*` and `python_*` tell of the process.

| series | type | labels | means |
|---|---|---|---|
"""


def page() -> str:
    document = describe(create_app())
    codes = "".join(
        f"| `{code}` | {kind.status} | {kind.title} | {kind.cure} |\n"
        for code, kind in KINDS.items()
    )
    fields = "".join(f"| `{name}` | {text} |\n" for name, text in FIELDS.items())
    return (
        HEAD
        + _options()
        + REQUESTS
        + _requests(document)
        + CURL
        + _curls()
        + ERRORS
        + codes
        + EGRESS
        + fields
        + METRICS
        + _metrics()
    )


def _options() -> str:
    rows = []
    for option in options()._actions:  # noqa: SLF001 - argparse has no other way to ask
        choices = "|".join(option.choices or ())
        given = "" if option.nargs == 0 else f" {option.metavar or choices or option.dest.upper()}"
        silent = option.default in (None, False, argparse.SUPPRESS)
        default = "" if silent else f"; default: {option.default}"
        name = f"{', '.join(option.option_strings)}{given}".replace("|", "\\|")
        rows.append(f"| `{name}` | {option.help}{default} |\n")
    return "".join(rows)


def _metrics() -> str:
    rows = []
    for family, labels in Metrics("").described():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(
            f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |\n"
        )
    return "".join(rows)


def _requests(document: dict[str, Any]) -> str:
    rows = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            statuses = [s for s in operation["responses"] if not s.startswith(("2", "3"))]
            rows.append(f"| `{method.upper()} {path}` | {', '.join(statuses)} |\n")
    return "".join(rows)


def _curls() -> str:
    sent = {"/accounts/create": "NewAccount", "/connectors/add": "NewConnector"}
    sent |= {"/connectors/verify": "Slot", "/credentials/check": "Check"}
    lines = [
        f"curl -H \"Authorization: Bearer $TOKEN\" --json '{json.dumps(SENT[model])}' \\\n"
        f"  http://127.0.0.1:8700{path}\n"
        for path, model in sent.items()
    ]
    ask = 'curl -H "Authorization: Bearer $TOKEN" \\\n'
    return "".join(lines) + ask + "  'http://127.0.0.1:8700/portfolio?account=client_acme'\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
