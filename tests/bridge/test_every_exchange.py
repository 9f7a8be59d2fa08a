"""Every exchange of ccxt's: each credential that is asked for is in what is sent, and matters."""

from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import pytest

from bridge.catalogue import KEY_ALONE, PUBLIC, catalogue
from bridge.credentials import Offered
from bridge.session import Outward
from bridge.shelf import Shelf
from tests.bridge.plausible import changed, offered
from tests.bridge.still import NOW, still

pytestmark = pytest.mark.anyio


# What some have to be told before they sign in.
TOLD: dict[str, dict[str, str]] = {
    "api.prod.paradex.trade/v1/system/config": {
        "l1_chain_id": "1",
        "starknet_chain_id": "PRIVATE_SN_PARACLEAR_MAINNET",
        "paraclear_account_hash": "0x1",
        "paraclear_account_proxy_hash": "0x2",
    },
}

CARRIED = {
    "apiKey": "api_key",
    "walletAddress": "api_key",
    "secret": "api_secret",
    "privateKey": "api_secret",
    "password": "password",
    "uid": "memo",
    "accountId": "memo",
    "login": "password",
}
"""By which field of the contract each of ccxt's credentials travels."""
# GRVT's sub-account is named only after its cookie came; Paradex' address follows from the secret.
LATER = {("grvt", "memo"), ("paradex", "api_key")}


@pytest.fixture
async def shelf(outward: Outward) -> AsyncIterator[Shelf]:
    made = Shelf(outward)
    yield made
    await made.close()


async def sent(shelf: Shelf, name: str, credentials: Offered) -> list[str]:
    """Return what a connector would send to read its balance, without a network.

    Each question is answered with nothing, until ccxt has enough of it.
    """
    remote, requests = shelf.make(name, credentials), list[str]()

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        requests.append(f"{method} {url} {headers!r} {body!r}")
        if len(requests) > 4:
            raise RuntimeError("enough")
        return next((told for end, told in TOLD.items() if url.endswith(end)), {})

    async def load_markets(*_: object, **__: object) -> dict[str, Any]:
        return {}

    remote.fetch, remote.load_markets = fetch, load_markets
    still(remote)
    with patch("time.time", lambda: float(NOW)):
        try:
            await remote.fetch_balance()
        except Exception as error:
            requests.append(f"{type(error).__name__}")
            if not requests[:-1]:
                raise
    return requests


def _signing(name: str) -> list[str]:
    """Return the fields that a balance depends on; we say of the others that it does not."""
    unused = {"api_secret"} if name in PUBLIC | KEY_ALONE else set()
    return [f for f in catalogue()[name]["fields"] if f not in unused and (name, f) not in LATER]


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_each_credential_has_its_field(name: str) -> None:
    about = catalogue()[name]
    assert {CARRIED[each] for each in about["requires"]} == set(about["fields"])


@pytest.mark.parametrize("name", sorted(catalogue()))
async def test_each_credential_is_in_what_is_sent(shelf: Shelf, name: str) -> None:
    before = await sent(shelf, name, offered(name))
    assert before == await sent(shelf, name, offered(name))
    for field in _signing(name):
        assert before != await sent(shelf, name, changed(name, field)), field
