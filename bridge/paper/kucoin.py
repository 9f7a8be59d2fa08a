"""KuCoin as it talks: the passphrase is signed too."""

from collections.abc import Callable
from typing import Any

from bridge.paper.kucoin_markets import currency, symbol
from bridge.paper.ledger import Account, Ledger
from bridge.paper.wire import Asked, Said, number, same, sha256_base64

NAME = "kucoin"
HOSTS = ("kucoin.com",)
_WINDOW_MS = 5_000


def _no(code: str, message: str, status: int = 401) -> Said:
    return Said({"code": code, "msg": message}, status)


IP = _no("400006", "The requested ip address is not in the api whitelist")
CLOCK = _no("400002", "KC-API-TIMESTAMP Invalid")
BUSY = {"code": "429000", "msg": "Too Many Requests"}


def classed(path: str) -> str:
    if path.endswith("/currencies"):
        return "currencies"
    if path in _PRIVATE:
        return "account"
    return "markets" if path.endswith(("/symbols", "/allTickers", "/active")) else "other"


def answer(asked: Asked, ledger: Ledger) -> Said:
    if asked.path in _PRIVATE:
        return _private(asked, ledger)
    if asked.path in _PUBLIC:
        return _yes(_PUBLIC[asked.path](asked, ledger))
    return _no("404000", "no such endpoint on paper", 404)


def _yes(data: Any) -> Said:
    return Said({"code": "200000", "data": data})


def _private(asked: Asked, ledger: Ledger) -> Said:
    headers = asked.headers
    if not all(headers.get(f"kc-api-{name}") for name in ("key", "sign", "timestamp")):
        return _no("400001", "Please check the header of your request for KC-API-KEY")
    account = ledger.find(NAME, headers["kc-api-key"])
    if account is None:
        return _no("400003", "KC-API-KEY not exists")
    return _wrong(asked, account) or _PRIVATE[asked.path](asked, account)


def _wrong(asked: Asked, account: Account) -> Said | None:
    headers = asked.headers
    stamp = headers["kc-api-timestamp"]
    if abs(number(stamp) - asked.now_ms) > _WINDOW_MS:
        return CLOCK
    passphrase = sha256_base64(account.api_secret, account.password)
    signed = sha256_base64(account.api_secret, stamp + asked.method + asked.target + asked.body)
    if not same(signed, headers["kc-api-sign"]):
        return _no("400005", "Invalid KC-API-SIGN")
    if not same(passphrase, headers.get("kc-api-passphrase", "")):
        return _no("400004", "Invalid KC-API-PASSPHRASE")
    return None


def _accounts(asked: Asked, account: Account) -> Said:
    # Accounts are of the high-frequency kind: whoever asks for the old kind finds it empty.
    if asked.param("type") != "trade_hf":
        return _yes([])
    return _yes(
        [
            {
                "id": f"{position:024x}",
                "currency": asset,
                "type": "trade_hf",
                "balance": amount,
                "available": amount,
                "holds": "0",
            }
            for position, (asset, amount) in enumerate(account.balances.items())
        ]
    )


def _mode(_asked: Asked, _account: Account) -> Said:
    return _yes({"selfAccountMode": "CLASSIC"})


def _opened(_asked: Asked, _account: Account) -> Said:
    return _yes(data=True)


def _no_margin(_asked: Asked, _account: Account) -> Said:
    return _yes({"timestamp": 0, "items": []})


def _no_isolated(_asked: Asked, _account: Account) -> Said:
    return _yes([])


_PRIVATE = {
    "/api/v3/margin/symbols": _no_margin,
    "/api/v1/isolated/symbols": _no_isolated,
    "/api/v1/accounts": _accounts,
    "/api/ua/v1/account/mode": _mode,
    "/api/v1/hf/accounts/opened": _opened,
}


def _symbols(_asked: Asked, ledger: Ledger) -> list[Any]:
    return [symbol(base, quote) for base, quote in ledger.markets]


def _currencies(_asked: Asked, ledger: Ledger) -> list[Any]:
    return [currency(asset) for asset in ledger.assets()]


_PUBLIC: dict[str, Callable[[Asked, Ledger], Any]] = {
    "/api/v1/timestamp": lambda asked, _: asked.now_ms,
    "/api/v2/symbols": _symbols,
    "/api/v3/currencies": _currencies,
    "/api/v1/market/allTickers": lambda asked, _: {"time": asked.now_ms, "ticker": []},
    "/api/v1/contracts/active": lambda _asked, _: [],
}
