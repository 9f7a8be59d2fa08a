"""Makes ccxt objects: one full template per exchange, and light ones that hold only credentials.

The one place that knows how an object comes from a name and credentials.
"""

import asyncio
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import ccxt.async_support as ccxt
import structlog

from bridge.catalogue import TESTNET, exchange_class
from bridge.credentials import Offered, fill
from bridge.errors import Trouble
from bridge.guard import Guarded
from bridge.pacer import Lane, Paced, Watch
from bridge.session import Outward

log = structlog.get_logger()

# Their balances read the same with and without markets, so an outage of the market list or a
# first load of half a second is no reason to keep anybody waiting. The others may need it to
# name an asset (Kraken's XXBT is BTC), or ask for markets inside.
READS_WITHOUT_MARKETS = frozenset({"binance", "bybit", "kucoin", "okx"})
# What ccxt asks with the account's own key while it loads markets, and a keyless template cannot:
# without it, a KuCoin account of the high-frequency kind reads as empty.
ASKED_WHILE_LOADING = {"kucoin": "load_migration_status"}
_MARKET_FIELDS = (
    "markets",
    "markets_by_id",
    "symbols",
    "ids",
    "currencies",
    "currencies_by_id",
    "baseCurrencies",
    "quoteCurrencies",
    "codes",
)
_NONCE = "lastNonce"
_GRACE_S = 1.0
_COOL_S = 30.0  # between two loads in the background, when the exchange is away


class Template:
    """One exchange, whole and without keys; every connector to it borrows from it."""

    def __init__(
        self,
        name: str,
        outward: Outward,
        *,
        timeout_s: float,
        paced: bool,
        watch: Watch | None = None,
    ) -> None:
        """Build it without a request. Raises `Trouble` unsupported."""
        kind = exchange_class(name)
        base = name.removesuffix(TESTNET)
        self.name = name
        self._stock = type(base, (Paced, Guarded, kind), {})(
            _settings(outward, timeout_s, paced=paced)
        )
        self._stock.lane = Lane(
            name, self._stock.rateLimit / 1000, patience_s=timeout_s, watch=watch
        )
        if name != base:
            _enter_sandbox(name, self._stock)
        self._light = self._lightened(base)
        self._loading: asyncio.Task[None] | None = None
        self._failed_at = float("-inf")

    @property
    def needed(self) -> list[str]:
        """The credentials that this exchange wants, by ccxt's names."""
        return [name for name, want in self._stock.requiredCredentials.items() if want]

    @property
    def markets_loaded(self) -> int:
        return len(self._stock.markets or ())

    def make(self, offered: Offered) -> Any:
        """Return a ccxt object that holds *offered*, its own options and nothing else.

        Raises `Trouble` malformed when a field is missing.
        """
        light = self._light.__new__(self._light)
        # Account modes, nonces and "has succeeded once" live in options: never shared.
        vars(light).update(fill(self.name, self.needed, offered), options={**self._stock.options})
        return light

    def warm(self) -> None:
        """Begin to load markets unless they are there, under way, or failed just now."""
        cool = asyncio.get_running_loop().time() - self._failed_at >= _COOL_S
        if not self.markets_loaded and cool:
            self._load()

    async def markets(self) -> Any:
        """Return the shared markets, loading them once for all who wait; raises what ccxt does."""
        if not self.markets_loaded:
            # A waiter who gives up must not take the load away from the others.
            await asyncio.shield(self._load())
        return self._stock.markets

    async def close(self) -> None:
        """Let a load under way end, for a moment: cancelled while it connects, it leaks sockets."""
        if self._loading is not None:
            await asyncio.wait([self._loading], timeout=_GRACE_S)
            self._loading.cancel()
            await asyncio.wait([self._loading])

    def _load(self) -> asyncio.Task[None]:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._fetch_markets())
            self._loading.add_done_callback(self._loaded)
        return self._loading

    async def _fetch_markets(self) -> None:
        await self._stock.load_markets()
        for field in _MARKET_FIELDS:
            setattr(self._light, field, getattr(self._stock, field))

    def _loaded(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if error := task.exception():
            self._failed_at = asyncio.get_running_loop().time()
            log.warning("markets_not_loaded", exchange=self.name, error=type(error).__name__)
        else:
            log.info("markets_loaded", exchange=self.name, markets=self.markets_loaded)

    def _prepared(self, first: str) -> Any:
        """Return a fetch_balance that asks *first* what kind of account this is."""
        stock: Any = type(self._stock)

        async def fetch_balance(light: Any, *given: Any, **more: Any) -> Any:
            await getattr(light, first)()
            return await stock.fetch_balance(light, *given, **more)

        return fetch_balance

    def _lightened(self, base: str) -> Any:
        """Return a class that carries the template's attributes, so that its instances need none.

        ccxt keeps everything per instance: 60 MB and half a second for each one's own markets.
        """
        borrowed = {k: _unbound(v) for k, v in vars(self._stock).items() if k != "options"}

        async def load_markets(light: Any, *_args: object, **_more: object) -> Any:
            markets = await self.markets()
            for helper in self._stock.options.get("marketHelperProps", ()):
                light.options[helper] = self._stock.options.get(helper)
            return markets

        stock: Any = type(self._stock)

        def nonce(light: Any) -> float:
            # Clocks tick in milliseconds, Kraken and others refuse a nonce that does not rise.
            given: float = max(stock.nonce(light), light.options.get(_NONCE, 0) + 1)
            light.options[_NONCE] = given
            return given

        own: dict[str, Any] = {"load_markets": load_markets, "loadMarkets": load_markets}
        own["nonce"] = nonce
        if base in ASKED_WHILE_LOADING:
            own["fetch_balance"] = own["fetchBalance"] = self._prepared(ASKED_WHILE_LOADING[base])
        light = type(base, (type(self._stock),), {**borrowed, **own})
        if base in READS_WITHOUT_MARKETS:
            vars_of_class: Any = light
            vars_of_class.markets = {}  # None is what makes ccxt load them
        return light


class Shelf:
    """Every template made so far; `get` makes one at first use."""

    def __init__(
        self,
        outward: Outward,
        *,
        timeout_s: float = 10.0,
        paced: bool | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._outward = outward
        self._timeout_s = timeout_s
        # A stand-in has no limits to respect; a real exchange bans those who ignore them.
        self._paced = outward.origin is None if paced is None else paced
        self._watch = watch
        self._templates: dict[str, Template] = {}

    def get(self, name: str) -> Template:
        """Return the template for a canonical *name*; raises `Trouble` unsupported."""
        if name not in self._templates:
            self._templates[name] = Template(
                name,
                self._outward,
                timeout_s=self._timeout_s,
                paced=self._paced,
                watch=self._watch,
            )
        return self._templates[name]

    async def close(self) -> None:
        await asyncio.gather(*(template.close() for template in self._templates.values()))


def _settings(outward: Outward, timeout_s: float, *, paced: bool) -> Mapping[str, Any]:
    return {
        "session": outward,
        "ssl_context": outward.tls,  # without it ccxt makes one of its own: 692 KiB and 19 ms
        "asyncio_loop": asyncio.get_running_loop(),
        "timeout": int(timeout_s * 1000),
        "enableRateLimit": paced,
        "enableLastHttpResponse": False,
        "enableLastResponseHeaders": False,
    }


def _enter_sandbox(name: str, stock: Any) -> None:
    try:
        if not stock.urls.get("test"):
            raise Trouble("unsupported", f"Unsupported exchange: {name}: it has no testnet")
        stock.set_sandbox_mode(True)
    except (TypeError, KeyError, ccxt.NotSupported):
        raise Trouble("unsupported", f"Unsupported exchange: {name}: no usable testnet") from None


def _unbound(value: Any) -> Any:
    """Keep a function that sat on an instance from becoming a method on the class."""
    return staticmethod(value) if isinstance(value, FunctionType) else value
