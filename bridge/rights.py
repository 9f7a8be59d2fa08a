"""What an API key may do, where its exchange tells: a request and a pure reader for each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bridge.errors import Trouble


@dataclass(frozen=True, slots=True)
class Rights:
    """None where the exchange does not tell; `expires_at` also where the key never expires."""

    read: bool | None = None
    trade: bool | None = None
    withdraw: bool | None = None
    ip_restricted: bool | None = None
    expires_at: datetime | None = None


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


async def ask_bitget(remote: Any) -> Any:
    """Ask as fits the kind of account, which the balance's reading has found out."""
    if remote.options.get("uta"):
        return await remote.privateUtaGetV3AccountInfo()
    return await remote.privateSpotGetV2SpotAccountInfo()


def bitget(told: Any) -> Rights:
    """Read `GET /api/v2/spot/account/info`, or `GET /api/v3/account/info` of a unified account.

    Sources: www.bitget.com/api-doc/spot/account/Get-Account-Info, .../api-doc/uta/account. A right
    to read ends in r, one to write in w. The first one's example speaks of "readonly" and "trade"
    instead, words that say nothing of withdrawals. No expiry is told.
    """
    key = told["data"]
    bound = bool(key["ips"])
    if "permType" in key:
        writes, may = "write" in key["permType"], set(key["permissions"])
        return Rights(
            read=True,
            trade=writes and "uta_trade" in may,
            withdraw=writes and "withdraw" in may,
            ip_restricted=bound,
        )
    may = set(key["authorities"])
    return Rights(
        read=not may.isdisjoint({"stor", "stow", "readonly", "trade"}),
        trade=not may.isdisjoint({"coow", "cpow", "smow", "stow", "ttow", "trade"}),
        withdraw=None if may <= {"readonly", "trade"} else "wwow" in may,
        ip_restricted=bound,
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


async def ask_htx(remote: Any) -> Any:
    """Ask for the user, and then for the key. Sub-users may not ask for theirs."""
    user = await remote.v2PrivateGetUserUid()
    asked = {"uid": user["data"], "accessKey": remote.apiKey}
    told = await remote.v2PrivateGetUserApiKey(asked)
    if told.get("code") != 200:
        raise Trouble("unsupported", "htx tells it to main users alone")
    return told, _now(remote)


def htx(told: Any) -> Rights:
    """Read `GET /v2/user/api-key`: `permission` as "readOnly,trade,withdraw", -1 days are for ever.

    Source: huobiapi.github.io/docs/spot/v1/en, API key query.
    """
    answer, now = told
    (key,) = answer["data"]
    may = {each.strip() for each in key["permission"].split(",")}
    return Rights(
        read="readOnly" in may,
        trade="trade" in may,
        withdraw="withdraw" in may,
        ip_restricted=bool(key.get("ipAddresses")),
        expires_at=_in_days(key["validDays"], now),
    )


async def ask_mexc(remote: Any) -> Any:
    return await remote.spotPrivateGetApiKeyInfo({"accessKey": remote.apiKey}), _now(remote)


def mexc(told: Any) -> Rights:
    """Read `GET /api/v3/apiKeyInfo`; a key that is bound to addresses does not expire.

    Source: www.mexc.com/api-docs/spot-v3/spot-account-trade/query-api-key-info. The `canWithdraw`
    of `GET /api/v3/account` is the account's, not the key's.
    """
    key, now = told
    may = {each.strip() for each in key["permissions"].split(",")}
    return Rights(
        read="SPOT_ACCOUNT_READ" in may,
        trade=not may.isdisjoint({"SPOT_DEAL_WRITE", "CONTRACT_DEAL_WRITE"}),
        withdraw="SPOT_WITHDRAW_WRITE" in may,
        ip_restricted=bool(key["ipWhiteList"]),
        expires_at=_in_days(key.get("remainingValidity"), now),
    )


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
    ask: Callable[[Any], Awaitable[Any]]
    read: Callable[[Any], Rights]


def _reader(method: str, read: Callable[[Any], Rights]) -> Reader:
    """Return the reader of one request, which *method* is ccxt's name for."""

    async def ask(remote: Any) -> Any:
        return await getattr(remote, method)()

    return Reader(ask, read)


_BINANCE = _reader("sapiGetAccountApiRestrictions", binance)
_BYBIT = _reader("privateGetV5UserQueryApi", bybit)
_GATE = _reader("privateAccountGetDetail", gate)
_KUCOIN = _reader("privateGetUserApiKey", kucoin)
_OKX = _reader("privateGetAccountConfig", okx)
READERS: Mapping[str, Reader] = {
    "binance": _BINANCE,
    "binancecoinm": _BINANCE,
    "binanceusdm": _BINANCE,
    "bitfinex": _reader("privatePostAuthRPermissions", bitfinex),
    "bitget": Reader(ask_bitget, bitget),
    "bybit": _BYBIT,
    "bybit_testnet": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    "coinbase": _reader("v3PrivateGetBrokerageKeyPermissions", coinbase),
    "gate": _GATE,
    "gateeu": _GATE,
    "htx": Reader(ask_htx, htx),
    "kraken": _reader("privatePostGetApiKeyInfo", kraken),
    "kucoin": _KUCOIN,
    "kucoinfutures": _KUCOIN,
    "mexc": Reader(ask_mexc, mexc),
    "myokx": _OKX,
    "okx": _OKX,
    "okx_testnet": _OKX,
    "okxus": _OKX,
}


def _at(number: Any, *, per_s: int) -> datetime | None:
    """Return the time that many seconds (or parts of them) after 1970, which itself is never."""
    return datetime.fromtimestamp(int(number) / per_s, UTC) if int(number or 0) else None


def _now(remote: Any) -> datetime:
    return datetime.fromtimestamp(remote.milliseconds() / 1000, UTC)


def _in_days(days: Any, now: datetime) -> datetime | None:
    """Return the day that is *days* away, as early as it may be meant; none or less is never."""
    then = now + timedelta(days=max(0, int(days or 0)))
    return then.replace(hour=0, minute=0, second=0, microsecond=0) if then > now else None


def _after_1970(then: datetime) -> datetime | None:
    return then if then.timestamp() > 0 else None
