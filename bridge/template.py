"""One exchange, whole and without keys; every connector to it borrows what it has.

ccxt keeps everything per object: 60 MB and half a second for each one's own markets. Here it sits,
read-only, on a class made for the exchange, whose objects hold credentials and options alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

import ccxt.async_support as ccxt
import structlog

from bridge.catalogue import OWN_COPIES, TESTNET, exchange_class
from bridge.credentials import Offered, fill
from bridge.errors import Trouble
from bridge.frozen import FrozenDict, Thrift, empty, freeze, thaw
from bridge.guard import Guarded
from bridge.loader import Loader
from bridge.pacer import Lane, Paced, Watch
from bridge.piecemeal import loads
from bridge.scrub import scrub
from bridge.session import Outward

log = structlog.get_logger()

# Who lists markets to those with a key alone: a keyless template goes without.
LISTS_TO_KEYS_ALONE = frozenset({"alpaca", "mudrex"})
# Their balances read the same with and without markets, so an outage of the market list or a
# first load of half a second is no reason to keep anybody waiting. The others may need it to
# name an asset (Kraken's XXBT is BTC), or ask for markets inside.
READS_WITHOUT_MARKETS = LISTS_TO_KEYS_ALONE | {"binance", "bybit", "kucoin", "okx"}
# What ccxt asks with the account's own key while it loads markets, and a keyless template cannot:
# without it, a KuCoin account of the high-frequency kind reads as empty.
ASKED_WHILE_LOADING = {"kucoin": "load_migration_status"}
# What to ask for where ccxt's own choice reads another wallet than the spot one: of a classic Bybit
# account the contract wallet, which leaves one who only trades spot with nothing. A unified account
# has but one wallet, whatever this says. (bybit-exchange.github.io/docs/v5/account/wallet-balance)
ASKS_ELSEWHERE = frozenset({"bybit", "bybiteu", "bybitid"})
MARKET_FIELDS = (
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
# Loads share a thread: one that parses keeps the others from reading what has come long ago.
_LONG_MS = 30_000
_COOL_S = 30.0  # between two loads in the background, when the exchange is away


@dataclass(frozen=True, slots=True)
class Manner:
    """How templates are made: seconds for one request, seconds between two loads.

    `draw` gives chance in [0, 1), `now` seconds of a clock that never goes back.
    """

    timeout_s: float
    refresh_s: float
    paced: bool
    watch: Watch | None
    now: Callable[[], float]
    draw: Callable[[], float]


class Template:
    """Makes connectors' objects, and keeps the markets that they share fresh."""

    def __init__(self, name: str, outward: Outward, loader: Loader, manner: Manner) -> None:
        """Build it without a request. Raises `Trouble` unsupported."""
        kind = exchange_class(name)
        self.name = name
        self._base = name.removesuffix(TESTNET)
        self._kind = type(self._base, (Paced, Guarded, kind), {})
        self._loader, self._manner = loader, manner
        self._outward = outward
        stock = self._built(outward)
        self._interval_s = stock.rateLimit / 1000
        self._lanes: dict[str, Lane] = {}
        self.lane = self._lane(outward.egress)
        self.needed = [field for field, want in stock.requiredCredentials.items() if want]
        if self._base in ASKS_ELSEWHERE:
            stock.options["fetchBalance"] = {"defaultType": "spot"}
        self._options: dict[str, Any] = freeze(stock.options)
        # What loading leaves in options for all to read; connectors hold it before it is there.
        self._helpers = {each: FrozenDict() for each in _helpers(stock)}
        self._light = self._lightened(stock)
        self._own_copy = OWN_COPIES.get(self._base)
        if self._own_copy:
            log.info("not_all_is_shared", exchange=name, **self._own_copy._asdict())
        self._loading: asyncio.Task[None] | None = None
        self.loaded_at: float | None = None
        self._due_at = float("-inf")

    @property
    def markets_loaded(self) -> int:
        return len(self._light.markets or ())

    @property
    def age_s(self) -> float | None:
        """Return the seconds since markets were loaded, None before they were."""
        return None if self.loaded_at is None else self._manner.now() - self.loaded_at

    @property
    def lanes(self) -> Iterable[Lane]:
        return self._lanes.values()

    def make(self, offered: Offered, outward: Outward | None = None) -> Any:
        """Return a ccxt object that holds *offered*, its own options and nothing else.

        It goes out by *outward*, None: as the template does.

        Raises `Trouble` malformed when a field is missing or cannot be one.
        """
        light = self._light.__new__(self._light)
        filled = fill(self.name, self.needed, offered)
        for field, value in filled.fields.items():
            setattr(light, field, value)
        # Account modes, nonces and "has succeeded once" live in options: never shared.
        light.options = {**self._options, **self._helpers, **filled.options}
        for field in self._own_copy.of if self._own_copy else ():
            setattr(light, field, thaw(getattr(light, field)))
        if outward is not None and outward is not self._outward:
            light.session, light.lane = outward, self._lane(outward.egress)
        return light

    def warm(self) -> None:
        """Begin to load markets when that is due, unless a load is under way."""
        if self._manner.now() >= self._due_at and self._base not in LISTS_TO_KEYS_ALONE:
            self._load()

    async def markets(self) -> Any:
        """Return the shared markets, loading them once for all who wait; raises what ccxt does.

        Stale ones are better than none: nobody waits for a refresh.
        """
        if self.loaded_at is None:
            # A waiter who gives up must not take the load away from the others.
            await asyncio.shield(self._load())
        return self._light.markets

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])

    def _lane(self, egress: str) -> Lane:
        """Exchanges count by address, so each way out has a pace of its own."""
        if egress not in self._lanes:
            patience_s, watch = self._manner.timeout_s, self._manner.watch
            self._lanes[egress] = Lane(
                self.name, self._interval_s, egress, patience_s=patience_s, watch=watch
            )
        return self._lanes[egress]

    def _built(self, outward: Outward) -> Any:
        kind: Any = self._kind
        stock = kind(_settings(outward, self._manner.timeout_s, paced=self._manner.paced))
        if self.name != self._base:
            _enter_sandbox(self.name, stock)
        return stock

    def _load(self) -> asyncio.Task[None]:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._fetch_markets())
            self._loading.add_done_callback(self._loaded)
        return self._loading

    async def _fetch_markets(self) -> None:
        fields, helpers = await self._loader.run(self._read, self._outward)
        for field, value in fields.items():
            setattr(self._light, field, value)
        for name, value in helpers.items():
            dict.clear(self._helpers[name])
            dict.update(self._helpers[name], value)

    async def _read(self, outward: Outward) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask the exchange for its markets; runs in the loader's thread."""
        stock = self._built(outward)
        stock.lane = self.lane
        stock.timeout = max(stock.timeout, _LONG_MS)
        stock.on_json_response = partial(loads, at_once=stock.on_json_response)
        if not await stock.load_markets():
            raise ccxt.BadResponse(f"{self.name} answered without markets")
        shared = Thrift()
        fields = {field: shared(getattr(stock, field)) for field in MARKET_FIELDS}
        helpers = {name: shared(stock.options.get(name) or {}) for name in self._helpers}
        for large in (*(getattr(stock, field) for field in MARKET_FIELDS), shared.kept):
            empty(large)
        return fields, helpers

    def _loaded(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        now, chance = self._manner.now(), self._manner.draw()
        if error := task.exception():
            self._due_at = now + _COOL_S
            name = type(error).__name__
            why, age_s = scrub(str(error), limit=200), self.age_s
            log.warning("markets_not_loaded", exchange=self.name, error=name, why=why, age_s=age_s)
        else:
            # Spread, or all exchanges that were first used together would be asked together.
            self.loaded_at, self._due_at = now, now + self._manner.refresh_s * (0.9 + 0.2 * chance)
            log.info("markets_loaded", exchange=self.name, markets=self.markets_loaded)

    def _lightened(self, stock: Any) -> Any:
        """Return a class that carries the template's attributes: its objects need none."""
        held = _of_classes(self._kind) | vars(stock)
        borrowed = {name: _unbound(freeze(each)) for name, each in held.items()}
        del borrowed["options"]  # an object without its own must not find others'
        if self._base in READS_WITHOUT_MARKETS:
            borrowed["markets"] = FrozenDict()  # None is what makes ccxt load them
        return type(self._base, (self._kind,), borrowed | self._methods() | {"lane": self.lane})

    def _methods(self) -> dict[str, Any]:
        async def load_markets(_light: Any, *_args: object, **_more: object) -> Any:
            return await self.markets()

        own: dict[str, Any] = {"load_markets": load_markets, "loadMarkets": load_markets}
        own |= _FOR_FROZEN
        if self._base in ASKED_WHILE_LOADING:
            prepared = self._prepared(ASKED_WHILE_LOADING[self._base])
            own["fetch_balance"] = own["fetchBalance"] = prepared
        return own

    def _prepared(self, first: str) -> Any:
        """Return a fetch_balance that asks *first* what kind of account this is."""
        stock: Any = self._kind

        async def fetch_balance(light: Any, *given: Any, **more: Any) -> Any:
            await getattr(light, first)()
            return await stock.fetch_balance(light, *given, **more)

        return fetch_balance


def _to_array(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value


def _omit(given: Any, *names: Any) -> Any:
    return ccxt.Exchange.omit(given, *(list(n) if isinstance(n, list) else n for n in names))


# What ccxt does only to dicts and lists that are exactly that, it must do to frozen ones, too.
_FOR_FROZEN = {name: staticmethod(_to_array) for name in ("to_array", "toArray")} | {
    "omit": staticmethod(_omit)
}


def _settings(outward: Outward, timeout_s: float, *, paced: bool) -> Mapping[str, Any]:
    return {
        "session": outward,
        "ssl_context": outward.tls,  # without it ccxt makes one of its own: 692 KiB and 19 ms
        "asyncio_loop": asyncio.get_running_loop(),
        "timeout": int(timeout_s * 1000),
        "options": {"builderFee": False},  # else two exchanges' sign-in signs a fee for ccxt away
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


def _helpers(stock: Any) -> list[str]:
    return list(stock.options.get("marketHelperProps", ()))


def _of_classes(kind: type) -> dict[str, Any]:
    """Return what ccxt's classes themselves hold that could be written to."""
    return {
        name: value
        for each in reversed(kind.__mro__)
        for name, value in vars(each).items()
        if isinstance(value, dict | list | set | deque) and not name.startswith("__")
    }


def _unbound(value: Any) -> Any:
    """Keep a function that sat on an instance from becoming a method on the class."""
    return staticmethod(value) if isinstance(value, FunctionType) else value
