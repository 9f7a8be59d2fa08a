"""Ways out: real proxies, real TLS, real ccxt."""

import gc
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from yarl import URL

from bridge.app import Settings
from bridge.egress import DIRECT, Egress, Rule, Rules
from bridge.service import Service
from bridge.session import opened
from tests.bridge.conftest import served
from tests.bridge.proxy import LOGIN, Proxy
from tests.daemon.bridges.certificates import Authority

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def paper_url(
    paper_app: FastAPI, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    """The paper exchange as real ones are: by TLS alone."""
    certificate, key = authority.issue("paper")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))  # for the tests' own client
    async with served(paper_app, ssl_certfile=certificate, ssl_keyfile=key) as address:
        yield address.replace("http://", "https://")


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy().running() as running:
        yield running


def way(proxy: Proxy, authority: Authority, scheme: str = "http", **more: Any) -> Egress:
    url = URL(f"{scheme}://127.0.0.1:{proxy.port}")
    return replace(Egress("fra-1", url, ca_file=authority.file), **more)


@pytest.fixture
def egress(proxy: Proxy, authority: Authority) -> Egress:
    return way(proxy, authority)


@pytest.fixture
def settings(paper_url: str, egress: Egress) -> Settings:
    rules = Rules((Rule(egress),))
    return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0, egress=rules)


def told(answer: httpx.Response) -> str:
    """Return the words of an answer that blames the way out, and nobody's key."""
    said = answer.json()
    assert (answer.status_code, said["code"]) == (503, "unavailable")
    assert "egress 'fra-1': " in said["detail"]
    assert "p4ss" not in answer.text
    return str(said["detail"].partition("egress 'fra-1': ")[2])


async def test_balances_come_through_a_tunnel(
    bridge: httpx.AsyncClient, ready: Call, proxy: Proxy, paper_url: str
) -> None:
    await ready("binance")
    balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
    assert balances["binance"]["BTC"]["total"] == 0.6
    assert set(proxy.tunnels) == {paper_url.removeprefix("https://")}


async def test_what_is_signed_is_hidden_from_the_proxy(
    verify: Call, ready: Call, proxy: Proxy
) -> None:
    await ready("binance")
    assert (await verify("binance")).status_code == 200
    assert all("key-of-binance" not in head for head in proxy.heads)


class TestWithALogin:
    @pytest.fixture
    async def proxy(self) -> AsyncIterator[Proxy]:
        async with Proxy(login=LOGIN).running() as running:
            yield running

    @pytest.fixture
    def egress(self, proxy: Proxy, authority: Authority) -> Egress:
        return way(proxy, authority, authorization=LOGIN)

    @pytest.fixture(autouse=True)
    def heard(self, paper_app: FastAPI) -> list[str]:
        """The names of all headers that reach the exchange."""
        names: list[str] = []

        async def listen(request: Any, follow: Any) -> Any:
            names.extend(request.headers)
            return await follow(request)

        paper_app.middleware("http")(listen)
        return names

    async def test_it_is_shown_to_the_proxy_and_not_to_the_exchange(
        self, heard: list[str], ready: Call, verify: Call, proxy: Proxy
    ) -> None:
        await ready("binance")
        assert (await verify("binance")).status_code == 200
        assert proxy.tunnels
        assert "x-mbx-apikey" in heard
        assert "proxy-authorization" not in heard

    async def test_it_is_in_no_repr(self, egress: Egress) -> None:
        assert LOGIN.removeprefix("Basic ") not in repr(Rules((Rule(egress),)))


class TestAnHttpsProxy:
    @pytest.fixture
    async def proxy(self, authority: Authority) -> AsyncIterator[Proxy]:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*authority.issue("proxy"))
        async with Proxy().running(tls) as running:
            yield running

    @pytest.fixture
    def egress(self, proxy: Proxy, authority: Authority) -> Egress:
        return way(proxy, authority, "https")

    async def test_balances_come_through_a_tunnel_within_tls(
        self, ready: Call, verify: Call, proxy: Proxy
    ) -> None:
        await ready("binance")
        assert (await verify("binance")).status_code == 200
        assert proxy.tunnels


class TestAProxyThatFails:
    @pytest.mark.parametrize(
        ("refusal", "words"),
        [
            (407, "its proxy does not accept our user and password (407)"),
            (403, "its proxy does not lead there (it answered 403)"),
            (502, "its proxy does not lead there (it answered 502)"),
            (503, "its proxy does not lead there (it answered 503)"),
            (504, "its proxy does not lead there (it answered 504)"),
        ],
    )
    async def test_with_a_status_it_is_named_and_the_key_is_not_blamed(
        self, ready: Call, verify: Call, proxy: Proxy, refusal: int, words: str
    ) -> None:
        proxy.refusal = refusal
        await ready("binance")
        assert told(await verify("binance")) == words

    async def test_by_breaking_off_it_is_named(
        self, ready: Call, verify: Call, proxy: Proxy
    ) -> None:
        proxy.breaks = True
        await ready("binance")
        assert told(await verify("binance")) == "the connection by way of its proxy broke"

    async def test_one_that_fails_once_serves_again(
        self, ready: Call, verify: Call, proxy: Proxy
    ) -> None:
        proxy.refusal = 502
        await ready("binance")
        await verify("binance")
        proxy.refusal = None
        assert (await verify("binance")).status_code == 200

    async def test_the_listing_does_not_call_the_key_refused(
        self, bridge: httpx.AsyncClient, ready: Call, verify: Call, proxy: Proxy
    ) -> None:
        proxy.refusal = 407
        await ready("binance")
        await verify("binance")
        (listed,) = (await bridge.get("/connectors")).json()["connectors"]
        assert listed["state"] == "unavailable"


class TestAProxyThatIsNotThere:
    @pytest.fixture
    def egress(self, authority: Authority) -> Egress:
        return way(Proxy(port=1), authority)

    async def test_is_named(self, ready: Call, verify: Call) -> None:
        await ready("binance")
        assert told(await verify("binance")) == "its proxy cannot be reached: connection refused"


class TestAProxyThatHangs:
    @pytest.fixture
    def settings(self, paper_url: str, egress: Egress) -> Settings:
        rules = Rules((Rule(egress),))
        return Settings(exchange_origin=paper_url, timeout_s=0.3, limit_s=5.0, egress=rules)

    async def test_it_is_named(self, ready: Call, verify: Call, proxy: Proxy) -> None:
        proxy.hangs = True
        await ready("binance")
        assert told(await verify("binance")) == "no answer in time by way of its proxy"


class TestWhoReadsAlong:
    @pytest.fixture
    def egress(self, proxy: Proxy, tmp_path: Path) -> Egress:
        return way(proxy, Authority(tmp_path, "another"))

    async def test_a_certificate_that_nobody_vouches_for_is_no_refusal(
        self, ready: Call, verify: Call
    ) -> None:
        await ready("binance")
        assert told(await verify("binance")).startswith("no trusted TLS connection: ")
        gc.collect()  # here, and not in whatever test comes next


class TestALocalAddress:
    @pytest.fixture
    def egress(self, proxy: Proxy, authority: Authority) -> Egress:
        return way(proxy, authority, local_address="127.0.0.9")

    async def test_is_what_the_other_side_sees(
        self, ready: Call, verify: Call, proxy: Proxy
    ) -> None:
        await ready("binance")
        assert (await verify("binance")).status_code == 200
        assert set(proxy.peers) == {"127.0.0.9"}


class TestALocalAddressOfAnotherMachine:
    @pytest.fixture
    def egress(self, authority: Authority) -> Egress:
        return Egress("fra-1", local_address="192.0.2.7", ca_file=authority.file)

    async def test_is_named(self, ready: Call, verify: Call) -> None:
        await ready("binance")
        words = "its local_address is not an address of this machine"
        assert told(await verify("binance")) == words


class TestTwoWays:
    @pytest.fixture
    def settings(self, paper_url: str, egress: Egress, authority: Authority) -> Settings:
        direct = Egress("by-itself", ca_file=authority.file)
        rules = Rules((Rule(egress, ("vip_*",)), Rule(direct)))
        return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0, egress=rules)

    async def test_each_account_goes_its_own(
        self, enrol: Call, add: Call, verify: Call, proxy: Proxy
    ) -> None:
        await enrol("binance")
        for account, tunnels in (("acme", 0), ("vip_1", 1)):
            await add("binance", account_name=account)
            assert (await verify("binance", account)).status_code == 200
            assert len(proxy.tunnels) == tunnels

    async def test_a_check_goes_the_way_of_the_account_it_is_for(
        self, bridge: httpx.AsyncClient, enrol: Call, proxy: Proxy
    ) -> None:
        await enrol("binance")
        body = {"connector_name": "binance", "api_key": "key-of-binance"}
        body["api_secret"] = "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5"
        for account, tunnels in ((None, 0), ("vip_1", 1)):
            asked = body | ({"account_name": account} if account else {})
            assert (await bridge.post("/credentials/check", json=asked)).status_code == 200
            assert len(proxy.tunnels) == tunnels
        assert (await bridge.get("/accounts")).json()["accounts"] == []

    async def test_each_way_has_a_pace_of_its_own(self, add: Call, service: Service) -> None:
        for account in ("acme", "other", "vip_1", "vip_2"):
            await add("binance", account_name=account)
        lanes = [c.remote.lane for c in service.registry.listing()]
        assert [lane.egress for lane in lanes] == ["by-itself", "by-itself", "fra-1", "fra-1"]
        assert len(set(map(id, lanes))) == 2


class TestAWayOfAnExchange:
    @pytest.fixture
    def settings(self, paper_url: str, egress: Egress, authority: Authority) -> Settings:
        direct = Egress("by-itself", ca_file=authority.file)
        rules = Rules((Rule(egress, exchanges=("kraken",)), Rule(direct)))
        return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0, egress=rules)

    async def test_its_markets_come_the_same_way(self, service: Service, proxy: Proxy) -> None:
        assert await service.shelf.get("okx").markets()
        assert not proxy.tunnels
        assert await service.shelf.get("kraken").markets()
        assert proxy.tunnels


async def test_proxy_variables_of_the_environment_lead_nobody(
    paper_url: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    async with (
        opened(paper_url, None, Egress("direct", ca_file=authority.file)) as outward,
        outward.get(URL("https://api.binance.com/api/v3/time"), headers={}) as answer,
    ):
        assert answer.status == 200


def test_the_first_rule_that_matches_wins() -> None:
    a, b, c = Egress("a"), Egress("b"), Egress("c")
    rules = Rules((Rule(a, ("vip_*", "x")), Rule(b, exchanges=("kraken",)), Rule(c, ("acme",))))
    chosen = {
        (exchange, account): rules.choose(exchange, account).name
        for exchange in ("binance", "kraken", "kraken_testnet")
        for account in ("vip_1", "acme", "x", None)
    }
    assert chosen == {
        ("binance", "vip_1"): "a",
        ("binance", "acme"): "c",
        ("binance", "x"): "a",
        ("binance", None): "direct",
        ("kraken", "vip_1"): "a",
        ("kraken", "acme"): "b",
        ("kraken", "x"): "a",
        ("kraken", None): "b",
        ("kraken_testnet", "vip_1"): "a",
        ("kraken_testnet", "acme"): "b",
        ("kraken_testnet", "x"): "a",
        ("kraken_testnet", None): "b",
    }


def test_without_rules_everything_is_direct() -> None:
    assert Rules().choose("binance", "acme") is DIRECT
