"""What exchanges say where ccxt's class for it misleads or says too little: a table.

The codes are those of ccxt 4.5.90's `exceptions` and of the exchanges' own lists of errors.
"""

from typing import NamedTuple

from bridge.errors import Code

CLOCK = "the clock of this machine and the exchange's differ"
NONCE = "its nonce must rise, and somebody else may use this key"
PLACE = "the exchange does not serve this location"
BANNED = "the exchange has banned this address for a while"
TOO_OFTEN = "this address asks too often"
LOCKED = "the exchange has locked this key or this address out for a while"
BUSY = "the exchange is overloaded or has an error of its own"
KEY = "the key is unknown, was deleted or has expired"
EXPIRED = "the key has expired"
SIGNATURE = "the signature is wrong: this is not the key's secret"
PASSPHRASE = "the passphrase is wrong"  # noqa: S105 - words about one
ADDRESS = "this address is not on the key's allowlist"
PERMISSION = "the key lacks the permission to read balances"
FROZEN = "the account or its key is frozen"
ELSEWHERE = "the key belongs to another environment, such as demo or live"


_NOT_HERE: tuple[Code, str] = "unavailable", PLACE


class Row(NamedTuple):
    """Of a family of exchanges ("" for all), what matches *pattern* means *code* and *why*.

    `patience_s` is how long the exchange documents this to last, where its answer does not say.
    """

    family: str
    pattern: str
    code: Code
    why: str | None
    patience_s: float | None = None


def _code(numbers: str) -> str:
    """Match a code of these numbers, quoted or not, under any of its usual names."""
    return rf'"(?:code|retCode|ret_code|err-code|err_code)":\s*"?(?:{numbers})(?![\w-])'


ROWS: tuple[Row, ...] = (
    # ccxt calls it DDoSProtection once an object has succeeded: revoked would look busy for ever
    Row(
        "binance",
        _code("-2015"),
        "refused",
        "the key is wrong, was deleted or has expired, lacks a permission, "
        "or this address is not on its allowlist",
    ),
    Row("binance", _code("-2014|-2008"), "refused", KEY),
    Row("binance", _code("-1022"), "refused", SIGNATURE),
    Row("binance", _code("-1021"), "unavailable", CLOCK),
    Row("binance", _code("-1000|-1001|-1004|-1006|-1007|-1016"), "unavailable", BUSY),
    Row("binance", _code("-1008"), "throttled", None),
    Row("bybit", _code("10002|-1021"), "unavailable", CLOCK),
    Row("bybit", r'"retCode":\s*-1\b.*request expired', "unavailable", CLOCK),
    Row("bybit", _code("10009"), "throttled", BANNED),
    Row("bybit", _code("10018"), "throttled", TOO_OFTEN),
    # "wait for at least 10 minutes": bybit-exchange.github.io/docs/v5/rate-limit, IP limit
    Row("bybit", r"(?i)access too frequent", "throttled", BANNED, 600.0),
    Row("bybit", _code("10003"), "refused", KEY),
    Row("bybit", _code("10004"), "refused", SIGNATURE),
    Row("bybit", _code("10005"), "refused", PERMISSION),
    Row("bybit", _code("10008"), "refused", FROZEN),
    Row("bybit", _code("10010"), "refused", ADDRESS),
    Row("bybit", _code("33004|-2015"), "refused", EXPIRED),
    Row("bybit", _code("429|10429"), "throttled", None),
    Row("bybit", _code("10000|10016|10019|5004"), "unavailable", BUSY),
    Row("okx", _code("50102|50112"), "unavailable", CLOCK),
    Row("okx", _code("50100|50012|50007"), "refused", FROZEN),
    Row("okx", _code("50101"), "refused", ELSEWHERE),
    Row("okx", _code("50105"), "refused", PASSPHRASE),
    Row("okx", _code("50110"), "refused", ADDRESS),
    Row("okx", _code("50111|50119"), "refused", KEY),
    Row("okx", _code("50113"), "refused", SIGNATURE),
    Row("okx", _code("50040|50061"), "throttled", None),
    Row("kucoin", _code("400002"), "unavailable", CLOCK),
    Row("kucoin", _code("400003"), "refused", KEY),
    Row("kucoin", _code("400004"), "refused", PASSPHRASE),
    Row("kucoin", _code("400005"), "refused", SIGNATURE),
    Row("kucoin", _code("400006"), "refused", ADDRESS),
    Row("kucoin", _code("400007"), "refused", PERMISSION),
    Row("kucoin", _code("411100"), "refused", FROZEN),
    Row("kucoin", _code("408000"), "unavailable", BUSY),
    # Cloudflare's, for 30 s: www.kucoin.com/docs/basic-info/request-rate-limit/rest-api
    Row("kucoin", r"(?i)error(?: code)?:? 1015\b", "throttled", TOO_OFTEN, 30.0),
    Row("kraken", r"EAPI:Invalid key", "refused", KEY),
    Row("kraken", r"EAPI:Invalid signature", "refused", SIGNATURE),
    Row("kraken", r"EGeneral:Permission denied", "refused", PERMISSION),
    Row("kraken", r"ETrade:User Locked|EAuth:Account (temporary )?disabled", "refused", FROZEN),
    Row("kraken", r"EAuth:Account unconfirmed", "refused", "the account is not confirmed"),
    Row("kraken", r"EGeneral:Temporary lockout", "throttled", LOCKED),
    Row("kraken", r"EService:\s*Throttled|EAuth:(Too many|Rate limit)", "throttled", None),
    Row("kraken", r"EService:|EGeneral:Internal error|EDatabase:", "unavailable", BUSY),
    Row("gate", r"\bREQUEST_EXPIRED\b", "unavailable", CLOCK),
    Row("gate", r"\bINVALID_KEY\b", "refused", KEY),
    Row("gate", r"\bINVALID_SIGNATURE\b", "refused", SIGNATURE),
    Row("gate", r"\bIP_FORBIDDEN\b", "refused", ADDRESS),
    Row("gate", r"\b(READ_ONLY|FORBIDDEN)\b", "refused", PERMISSION),
    Row("gate", r"\b(SUB_)?ACCOUNT_(LOCKED|EXCEPTION)\b", "refused", FROZEN),
    Row("mexc", _code("700003|10073"), "unavailable", CLOCK),
    Row("mexc", _code("10072|730706"), "refused", KEY),
    Row("mexc", _code("402"), "refused", EXPIRED),
    # the same code and words for a wrong secret and for an expired key
    Row("mexc", _code("700001|700002|602"), "refused", f"{SIGNATURE}, or {EXPIRED}"),
    Row("mexc", _code("700006|406"), "refused", ADDRESS),
    Row("mexc", _code("700007|701"), "refused", PERMISSION),
    Row("mexc", _code("60005"), "refused", FROZEN),
    Row("bitget", _code("40004|40005|40008|30005|30008"), "unavailable", CLOCK),
    Row("bitget", _code("40006|40037|30006"), "refused", KEY),
    Row("bitget", _code("40009|40010|30013"), "refused", SIGNATURE),
    Row("bitget", _code("40012|30015"), "refused", "the key or its passphrase is wrong"),
    Row("bitget", _code("40014"), "refused", PERMISSION),
    Row("bitget", _code("40018|30011"), "refused", ADDRESS),
    Row("bitget", _code("40013|40031|50010|30022"), "refused", FROZEN),
    Row("bitget", _code("30017|30018"), "refused", ELSEWHERE),
    Row("bitget", _code("40015"), "unavailable", BUSY),
    # ccxt has asked for the wrong kind of account, since the right kind could not be found out
    Row("bitget", _code("40085"), "unavailable", "the kind of account could not be found out"),
    # HTX hides all of them under "api-signature-not-valid"
    Row("htx", r"Invalid submission time|incorrect time format", "unavailable", CLOCK),
    Row("htx", r"Incorrect IP address|Abnormal IP", "refused", ADDRESS),
    Row("htx", r"Incorrect Access key", "refused", KEY),
    Row("htx", r"API key has no permission", "refused", PERMISSION),
    # beside the id "authentication_error", which ccxt reads first
    Row("coinbase", r"request timestamp expired", "unavailable", CLOCK),
    Row("coinbase", r"\binternal_server_error\b", "unavailable", BUSY),
    Row("cryptocom", _code("40102|10007"), "unavailable", CLOCK),
    Row("cryptocom", _code("40103|10003"), "refused", ADDRESS),
    Row("cryptocom", _code("10001|50001"), "unavailable", BUSY),
    Row("bingx", r"timestamp mismatch", "unavailable", CLOCK),
    Row("bingx", _code("100413"), "refused", KEY),
    Row("bingx", _code("100419"), "refused", ADDRESS),
    Row("bitstamp", r"account is frozen", "refused", FROZEN),
    Row("bitstamp", r"IP address not allowed", "refused", ADDRESS),
    Row(
        "",
        r'(?i)timestamp[^"{}]{0,40}(expired|outside|(is )?too old|ahead|behind)',
        "unavailable",
        CLOCK,
    ),
    Row("", r"(?i)restricted (location|country|region)|unavailable in the U\.S", *_NOT_HERE),
    Row("", r"block access from your country", *_NOT_HERE),  # CloudFront's
    # a refusal that is no JSON is a gateway's, whose limit is one for addresses
    Row("bybit", r"^\w+ [A-Z]+ +403 ", "throttled", TOO_OFTEN),
)
FAMILIES = {"myokx": "okx", "tokocrypto": "binance", "huobi": "htx"}  # whose names do not show it
