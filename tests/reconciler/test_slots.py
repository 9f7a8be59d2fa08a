from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from reconciler.model import ClientId, KeyId, Reason
from reconciler.slots import (
    ALIASES,
    Candidate,
    Conflict,
    account_name,
    canonical,
    claim,
    connector_name,
    elect,
)
from tests.reconciler.examples import NOW

ACME, BLUE = ClientId(UUID(int=1)), ClientId(UUID(int=2))
HOUR = timedelta(hours=1)


def candidate(number: int, client: ClientId = ACME, connector: str = "binance") -> Candidate:
    """Return a key that is as old as its *number* is small."""
    return Candidate(
        KeyId(UUID(int=number)), client, "client_acme", connector, NOW + number * HOUR, NOW
    )


@pytest.mark.parametrize(
    ("name", "connector"),
    [
        ("gateio", "gate"),
        (" Gate_IO ", "gate"),
        ("gate.io", "gate"),
        ("Binance-US", "binanceus"),
        ("crypto.com", "cryptocom"),
        ("HUOBI", "htx"),
        ("okex", "okx"),
        ("binance_perpetual", "binance_perpetual"),
        ("x", "x"),
    ],
)
def test_exchanges_have_one_name(name: str, connector: str) -> None:
    assert canonical(name) == connector


def test_a_canonical_name_stays_as_it_is() -> None:
    assert all(canonical(name) == name for name in ALIASES.values())


def test_a_testnet_is_a_connector_of_its_own() -> None:
    assert connector_name("GateIO", testnet=True) == "gate_testnet"


@pytest.mark.parametrize(
    ("override", "account"),
    [(None, "client_acme_two"), ("", "client_acme_two"), ("  ", "client_acme_two"), ("x", "x")],
)
def test_accounts_are_named_after_clients_unless_set(override: str | None, account: str) -> None:
    assert account_name("Acme Two", override) == account


def test_the_newest_key_wins_and_the_others_name_it() -> None:
    old, new = candidate(1), candidate(2)

    result = elect([new, old], {"client_acme": ACME})

    assert result.holders == {("client_acme", "binance"): new.id}
    assert result.conflicts == {old.id: Conflict(Reason.SLOT_TAKEN, new.id)}


def test_of_keys_of_the_same_age_the_greater_id_wins() -> None:
    one = candidate(1)
    two = replace(candidate(2), created_at=one.created_at)

    assert list(elect([two, one], {"client_acme": ACME}).holders.values()) == [two.id]


def test_a_greater_id_does_not_make_a_key_newer() -> None:
    old = replace(candidate(9), created_at=NOW - HOUR)

    assert list(elect([old, candidate(1)], {"client_acme": ACME}).holders.values()) == [
        candidate(1).id
    ]


def test_inactive_keys_and_suspended_clients_take_no_part() -> None:
    off = replace(candidate(2), active=False)
    suspended = replace(candidate(3), suspended=True)

    result = elect([candidate(1), off, suspended], {"client_acme": ACME})

    assert list(result.holders.values()) == [candidate(1).id]
    assert result.conflicts == {}


def test_in_another_clients_account_nothing_wins() -> None:
    mine, theirs = candidate(1), candidate(2, BLUE, "kraken")

    result = elect([mine, theirs], {"client_acme": ACME})

    assert list(result.holders.values()) == [mine.id]
    assert result.conflicts == {theirs.id: Conflict(Reason.ACCOUNT_TAKEN)}
    assert elect([mine], {}).conflicts == {mine.id: Conflict(Reason.ACCOUNT_TAKEN)}


def test_an_account_is_its_oldest_clients_and_then_stays_so() -> None:
    old = replace(candidate(1, BLUE), client_created_at=NOW - HOUR)

    assert claim([candidate(2), old], {}) == {"client_acme": BLUE}
    assert claim([candidate(2), old], {"client_acme": ACME}) == {"client_acme": ACME}
    assert claim([candidate(2), candidate(1, BLUE)], {}) == {"client_acme": ACME}


def test_a_client_without_a_running_key_claims_nothing() -> None:
    off = replace(candidate(1), active=False)
    suspended = replace(candidate(2), suspended=True)

    assert claim([off, suspended], {}) == {}
