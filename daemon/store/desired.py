"""Which key should be live in which slot, in SQL. `reconciler.slots` says the same in Python."""

import json

from reconciler.slots import ALIASES, SEPARATORS

_EXCHANGE = "lower(btrim(k.exchange))"
_CANONICAL = (  # JSON looks names up by halving, where CASE would try one after the other
    f"coalesce('{json.dumps(ALIASES, separators=(',', ':'))}'::jsonb"
    f" ->> translate({_EXCHANGE}, '{SEPARATORS}', ''), {_EXCHANGE})"
)
_DIGESTED = (
    "client_id",
    "exchange",
    "api_key",
    "api_secret",
    "passphrase",
    "is_testnet",
    "is_active",
)
DIGEST = (
    "encode(sha256(convert_to(concat_ws(E'\\x1f', "
    + ", ".join(f"coalesce(k.{column}::text, E'\\x1e')" for column in _DIGESTED)
    + "), 'UTF8')), 'hex')"
)
"""Tells whether the row of key *k* changed, without decrypting; label and times are not in it."""


ACCOUNTS = "bridgetender.accounts"
ROUTES = f"""
  LEFT JOIN bridgetender.routes by_id ON by_id.kind = 'client' AND by_id.subject = n.id::text
  LEFT JOIN bridgetender.routes by_name
    ON by_name.kind = 'client' AND by_name.subject = lower(btrim(n.name))
  LEFT JOIN bridgetender.routes by_exchange
    ON by_exchange.kind = 'exchange' AND by_exchange.subject = {_CANONICAL}
"""
"""Joins key *k* and client *n* with the rules that may say which bridge the key belongs to."""

BRIDGE = """coalesce(by_id.bridge, by_name.bridge, by_exchange.bridge,
    (SELECT bridge FROM bridgetender.routes WHERE kind = 'default'), :bridge)"""
"""The bridge of key *k*, after ROUTES; before any daemon wrote rules down, the one in :bridge."""


ACCOUNT = """coalesce(nullif(btrim(c.bridge_account), ''),
    'client_' || replace(lower(c.name), ' ', '_'))"""
"""The account of client *c*."""


def _paused(scope: str) -> str:
    return f"ARRAY(SELECT p.subject FROM bridgetender.pauses p WHERE p.scope = '{scope}')"


def paused(bridge: str, client: str, key: str) -> str:
    """Return the condition that a pause reaches these three; PostgreSQL reads the pauses once."""
    return f"""(EXISTS (SELECT FROM bridgetender.pauses p WHERE p.scope = 'all')
    OR {bridge} = ANY({_paused("bridge")})
    OR {client}::text = ANY({_paused("client")})
    OR {key}::text = ANY({_paused("key")}))"""


def desired(*, of_clients: bool = False, of_bridge: bool = True, accounts: str = ACCOUNTS) -> str:
    """Return the CTEs `named`, `placed` and `desired` for the parameter :bridge.

    `named` has every client's account; `placed` every active key of a client who is not suspended,
    with its bridge and whether the client owns the account there (`owned`); `desired` the newest
    owned key of each slot. *of_clients* narrows them to the clients in the parameter :clients
    (uuid[]), *of_bridge* to the bridge. *accounts* is the table or CTE that says who owns which
    account.
    """
    bridge = ":bridge" if of_bridge else BRIDGE
    scope = "WHERE c.id = ANY(:clients)" if of_clients else ""
    return f"""
named AS (
  SELECT c.id, c.name, c.created_at, c.status,
    {ACCOUNT} AS account
  FROM bridgetender.clients() c {scope}
), placed AS (
  SELECT k.id AS key_id, k.client_id, {BRIDGE} AS bridge, n.account, k.created_at,
    {_CANONICAL} AS exchange,
    {_CANONICAL} || CASE WHEN k.is_testnet THEN '_testnet' ELSE '' END AS connector,
    {DIGEST} AS digest,
    n.status <> 'ACTIVE' OR {paused(bridge, "k.client_id", "k.id")} AS held,
    w.key_id IS NOT NULL AS wished, k.updated_at AS changed_at,
    k.api_key, k.api_secret, k.passphrase, o.client_id IS NOT DISTINCT FROM k.client_id AS owned
  FROM bridgetender.keys() k
  JOIN named n ON n.id = k.client_id {ROUTES}
  LEFT JOIN {accounts} o ON o.bridge = {bridge} AND o.account = n.account
  LEFT JOIN bridgetender.wishes w ON w.key_id = k.id
  WHERE k.is_active AND n.status <> 'SUSPENDED' {f"AND {BRIDGE} = :bridge" if of_bridge else ""}
), desired AS (
  SELECT DISTINCT ON (bridge, account, connector) *
  FROM placed WHERE owned
  ORDER BY bridge, account, connector, created_at DESC, key_id DESC
)"""
