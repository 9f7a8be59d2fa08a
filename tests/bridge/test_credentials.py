import pytest

from bridge.catalogue import ALIASES, REMOVED, canonical, catalogue
from bridge.credentials import Offered, asked_for, fill
from bridge.errors import Trouble

PEM = "-----BEGIN EC PRIVATE KEY-----\nMAMCAQE=\n-----END EC PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("needed", "offered", "filled"),
    [
        (["apiKey", "secret"], Offered("k", "s"), {"apiKey": "k", "secret": "s"}),
        (["password"], Offered(password="p"), {"password": "p"}),
        (["password"], Offered(memo="m"), {"password": "m"}),
        (["password"], Offered(password="p", memo="m"), {"password": "p"}),
        (["uid"], Offered(memo="m"), {"uid": "m"}),
        (["uid"], Offered(password="p"), {"uid": "p"}),
        (["accountId"], Offered(memo="m"), {"accountId": "m"}),
        (
            ["walletAddress", "privateKey"],
            Offered("0xaddress", "0xkey"),
            {"walletAddress": "0xaddress", "privateKey": "0xkey"},
        ),
    ],
)
def test_fields_are_mapped(needed: list[str], offered: Offered, filled: dict[str, str]) -> None:
    assert fill("somewhere", needed, offered) == (filled, {})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Trouble, match="okx needs password") as caught:
        fill("okx", ["apiKey", "password"], Offered("k", "s"))
    assert caught.value.code == "malformed"


def test_a_credential_that_the_contract_cannot_carry_is_unsupported() -> None:
    with pytest.raises(Trouble) as caught:
        fill("somewhere", ["twofa"], Offered("k", "s"))
    assert caught.value.code == "unsupported"


def test_white_space_around_credentials_is_stripped() -> None:
    offered = Offered(" k\n", "\ts ", " p ", "\nm")
    assert offered.secrets() == ["k", "s", "p", "m"]


def test_only_white_space_is_missing() -> None:
    with pytest.raises(Trouble):
        fill("binance", ["apiKey"], Offered(" \n", "s"))


def test_a_pem_secret_keeps_its_newlines() -> None:
    assert Offered("k", PEM).api_secret == PEM


def test_credentials_do_not_show_in_a_repr() -> None:
    assert "hunter2" not in repr(Offered("hunter2", "hunter2", "hunter2", "hunter2"))


def test_an_exchange_asks_for_the_contracts_fields() -> None:
    assert asked_for("coinmate", ["apiKey", "secret", "uid"]) == ["api_key", "api_secret", "memo"]


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_leads_to_an_exchange_that_is_there(alias: str) -> None:
    assert canonical(alias.upper()) in catalogue().keys() | REMOVED
    assert canonical(f"{alias}_testnet") == f"{ALIASES[alias]}_testnet"


def test_what_is_gone_is_gone() -> None:
    assert not REMOVED & catalogue().keys()
