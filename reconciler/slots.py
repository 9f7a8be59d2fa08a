"""Which key holds which slot: how places are named, and who wins them. Pure.

`daemon.store` says the same in SQL; one test holds the two against each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.model import ClientId, KeyId, Reason

ALIASES: Mapping[str, str] = {
    "ascendex": "ascendex",
    "binancecoinm": "binancecoinm",
    "binanceus": "binanceus",
    "binanceusdm": "binanceusdm",
    "bingx": "bingx",
    "bitbay": "zonda",
    "bitcoincom": "fmfwio",
    "bitfinex2": "bitfinex",
    "bitmart": "bitmart",
    "bitmax": "ascendex",
    "bitpanda": "onetrading",
    "bitpandapro": "onetrading",
    "bitstamp1": "bitstamp",
    "blockchaincom": "blockchaincom",
    "btcmarkets": "btcmarkets",
    "bybiteu": "bybiteu",
    "cexio": "cex",
    "coinbaseadvanced": "coinbase",
    "coinbaseadvancedtrade": "coinbase",
    "coinbaseexchange": "coinbaseexchange",
    "coinbaseinternational": "coinbaseinternational",
    "coinbasepro": "coinbaseexchange",
    "cryptocom": "cryptocom",
    "currencycom": "currencycom",
    "gateeu": "gateeu",
    "gateio": "gate",
    "gdax": "coinbaseexchange",
    "hitbtc3": "hitbtc",
    "huobi": "htx",
    "huobiglobal": "htx",
    "huobipro": "htx",
    "hyperliquid": "hyperliquid",
    "independentreserve": "independentreserve",
    "krakenfutures": "krakenfutures",
    "kucoinfutures": "kucoinfutures",
    "lbank2": "lbank",
    "mexc3": "mexc",
    "mexcglobal": "mexc",
    "okcoin": "okcoin",
    "okex": "okx",
    "okex5": "okx",
    "okxus": "okxus",
    "onetrading": "onetrading",
    "p2pb2b": "p2b",
    "woox": "woo",
    "xtcom": "xt",
}
"""Other names in the field, without their separators -> the name that ccxt uses today."""
SEPARATORS = "_-. "
_NO_SEPARATORS = str.maketrans("", "", SEPARATORS)

Place = tuple[str, str]
"""A slot on whatever bridge: account and connector."""


def canonical(exchange: str) -> str:
    name = exchange.strip(" ").lower()
    return ALIASES.get(name.translate(_NO_SEPARATORS), name)


def connector_name(exchange: str, *, testnet: bool) -> str:
    return canonical(exchange) + ("_testnet" if testnet else "")


def account_name(client_name: str, override: str | None = None) -> str:
    """Return what a bridge files a client under: the name in the field, unless it was set."""
    return (override or "").strip(" ") or "client_" + client_name.lower().replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored key and what of its client counts for the election."""

    id: KeyId
    client_id: ClientId
    account: str
    connector: str
    created_at: datetime
    client_created_at: datetime
    active: bool = True
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why an active key is not in its slot; *holder* is the key that is, if it is the client's."""

    reason: Reason
    holder: KeyId | None = None


@dataclass(frozen=True, slots=True)
class Election:
    """Who holds each slot, and for every other active key of a client in business, why not."""

    holders: Mapping[Place, KeyId]
    conflicts: Mapping[KeyId, Conflict]


def claim(keys: Iterable[Candidate], owners: Mapping[str, ClientId]) -> Mapping[str, ClientId]:
    """Return the owner of each account: who has it keeps it, else the client that is oldest."""
    oldest = sorted(_running(keys), key=lambda key: (key.client_created_at, key.client_id))
    first = {key.account: key.client_id for key in reversed(oldest)}
    return first | dict(owners)


def elect(keys: Iterable[Candidate], owners: Mapping[str, ClientId]) -> Election:
    """Give each slot of an owned account to the newest of the owner's active keys."""
    newest_last = sorted(_running(keys), key=lambda key: (key.created_at, key.id))
    placed = [key for key in newest_last if owners.get(key.account) == key.client_id]
    holders = {(key.account, key.connector): key.id for key in placed}
    conflicts = {key.id: Conflict(Reason.ACCOUNT_TAKEN) for key in newest_last}
    for key in placed:
        conflicts[key.id] = Conflict(Reason.SLOT_TAKEN, holders[key.account, key.connector])
    for holder in holders.values():
        del conflicts[holder]
    return Election(holders, conflicts)


def _running(keys: Iterable[Candidate]) -> Iterator[Candidate]:
    return (key for key in keys if key.active and not key.suspended)
