"""What an API key may do, where its exchange tells: one call and one pure reader for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bridge.ask import asking
from bridge.errors import Trouble


@dataclass(frozen=True, slots=True)
class Rights:
    """None where the exchange does not tell; `expires_at` also where the key never expires."""

    read: bool | None = None
    trade: bool | None = None
    withdraw: bool | None = None
    ip_restricted: bool | None = None
    expires_at: datetime | None = None


class Reading(NamedTuple):
    """`why` says in words why there are no rights; it holds no secret."""

    rights: Rights | None
    why: str | None


async def rights_of(exchange: str, remote: Any, secrets: list[str], limit_s: float) -> Reading:
    """Ask *exchange* what the key of *remote* may do. Never raises: a proof stands without it."""
    reader = READERS.get(exchange)
    if reader is None:
        return Reading(None, f"{exchange} does not tell what a key may do, or not to this bridge")
    try:
        with asking(exchange, remote, secrets, limit_s):
            return Reading(reader.read(await getattr(remote, reader.method)()), None)
    except Trouble as trouble:
        return Reading(None, f"what this key may do could not be read: {trouble.detail}")


def binance(told: Any) -> Rights:
    """Read `GET /sapi/v1/account/apiRestrictions`.

    Source: developers.binance.com/docs/wallet/account/api-key-permission. Only trading expires.
    """
    trading = (
        "enableSpotAndMarginTrading",
        "enableMargin",
        "enableFutures",
        "enableVanillaOptions",
        "enablePortfolioMarginTrading",
    )
    return Rights(
        read=told["enableReading"],
        trade=any(told.get(name) for name in trading),
        withdraw=told["enableWithdrawals"],
        ip_restricted=told["ipRestrict"],
        expires_at=_at(told.get("tradingAuthorityExpirationTime"), per_s=1000),
    )


def bitfinex(told: Any) -> Rights:
    """Read `POST /v2/auth/r/permissions`: [[scope, may read, may write], ...].

    Source: docs.bitfinex.com/reference/key-permissions.
    """
    may = {
        (scope, right)
        for scope, *bits in told
        for right, bit in zip("rw", bits, strict=False)
        if bit
    }
    return Rights(
        read=("wallets", "r") in may,
        trade=("orders", "w") in may,
        withdraw=("withdraw", "w") in may,
    )


def bybit(told: Any) -> Rights:
    """Read `GET /v5/user/query-api`; an address `*` is any, the year 1970 is never.

    Source: bybit-exchange.github.io/docs/v5/user/apikey-info.
    """
    key = told["result"]
    writes, may = not key["readOnly"], key["permissions"]
    trading = ("ContractTrade", "Spot", "Options", "Derivatives", "BlockTrade", "CopyTrading")
    expires = key.get("expiredAt")
    return Rights(
        read=True,
        trade=writes and any(may.get(name) for name in trading),
        withdraw=writes and "Withdraw" in may.get("Wallet", ()),
        ip_restricted=bool(key["ips"]) and "*" not in key["ips"],
        expires_at=_after_1970(datetime.fromisoformat(expires)) if expires else None,
    )


def coinbase(told: Any) -> Rights:
    """Read `GET /api/v3/brokerage/key_permissions`.

    Source: docs.cdp.coinbase.com, Advanced Trade API, Get API Key Permissions. To transfer is to
    send funds, off the platform too.
    """
    return Rights(read=told["can_view"], trade=told["can_trade"], withdraw=told["can_transfer"])


def gate(told: Any) -> Rights:
    """Read `GET /api/v4/account/detail`, which tells addresses and nothing else.

    Source: github.com/gateio/gateapi-python, docs/AccountDetail.md.
    """
    return Rights(ip_restricted=bool(told["ip_whitelist"]))


def kraken(told: Any) -> Rights:
    """Read `POST /0/private/GetApiKeyInfo`; times are seconds in strings, "0" is never.

    Source: docs.kraken.com/api-reference/account-data/get-api-key-info.
    """
    key = told["result"]
    may = set(key["permissions"])
    return Rights(
        read="query-funds" in may,
        trade="modify-trades" in may,
        withdraw="withdraw-funds" in may,
        ip_restricted=bool(key["ipAllowlist"]),
        expires_at=_at(key.get("validUntil"), per_s=1),
    )


def kucoin(told: Any) -> Rights:
    """Read `GET /api/v1/user/api-key`; no expiry is told, and "Transfer" moves funds out, too.

    Source: www.kucoin.com/docs-new, Account Info, Get Apikey Info.
    """
    key = told["data"]
    may = set(key["permission"].split(","))
    return Rights(
        read="General" in may,
        trade=not may.isdisjoint({"Spot", "Margin", "Futures", "Trade"}),
        withdraw=not may.isdisjoint({"Transfer", "Withdraw", "Withdrawal"}),
        ip_restricted=bool(key.get("ipWhitelist")),
    )


def okx(told: Any) -> Rights:
    """Read `GET /api/v5/account/config`: `perm` as "read_only,trade", `ip` empty when unbound.

    Source: www.okx.com/docs-v5, Trading Account, Get account configuration.
    """
    key = told["data"][0]
    may = set(key["perm"].split(","))
    return Rights(
        read="read_only" in may,
        trade="trade" in may,
        withdraw="withdraw" in may,
        ip_restricted=bool(key["ip"]),
    )


class Reader(NamedTuple):
    """*method* is ccxt's name for the request."""

    method: str
    read: Callable[[Any], Rights]


_BINANCE = Reader("sapiGetAccountApiRestrictions", binance)
_BYBIT = Reader("privateGetV5UserQueryApi", bybit)
_GATE = Reader("privateAccountGetDetail", gate)
_KUCOIN = Reader("privateGetUserApiKey", kucoin)
_OKX = Reader("privateGetAccountConfig", okx)
READERS: Mapping[str, Reader] = {
    "binance": _BINANCE,
    "binancecoinm": _BINANCE,
    "binanceusdm": _BINANCE,
    "bitfinex": Reader("privatePostAuthRPermissions", bitfinex),
    "bybit": _BYBIT,
    "bybit_testnet": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    "coinbase": Reader("v3PrivateGetBrokerageKeyPermissions", coinbase),
    "gate": _GATE,
    "gateeu": _GATE,
    "kraken": Reader("privatePostGetApiKeyInfo", kraken),
    "kucoin": _KUCOIN,
    "kucoinfutures": _KUCOIN,
    "myokx": _OKX,
    "okx": _OKX,
    "okx_testnet": _OKX,
    "okxus": _OKX,
}


def _at(number: Any, *, per_s: int) -> datetime | None:
    """Return the time that many seconds (or parts of them) after 1970, which itself is never."""
    return datetime.fromtimestamp(int(number) / per_s, UTC) if int(number or 0) else None


def _after_1970(then: datetime) -> datetime | None:
    return then if then.timestamp() > 0 else None
