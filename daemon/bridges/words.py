"""What the words of a bridge mean that says everything with 400 or 500: one table, in order."""

import re

from reconciler.verdicts import ExchangeAway, Refused, Throttled, Unsupported, Verdict

_BAD = r"(invalid|incorrect|wrong|unknown|expired|revoked|disabled|deleted|frozen)"
_NOT = r"mismatch|not (exist|valid|match)"
_PROOF = r"(secret|sign|signature|passphrase)"
_TABLE: tuple[tuple[type[Verdict], str], ...] = (
    # -- this bridge cannot, whatever the key ------------------------------------------------
    (Unsupported, r"unsupported exchange|unknown (exchange|connector)|exchange not supported"),
    (Unsupported, r"has no attribute '\w+'|is not (a )?(supported|valid) (ccxt )?exchange"),
    (Unsupported, r"does not have a (testnet|sandbox)"),
    # -- credentials of a form that no exchange could accept ---------------------------------
    (Unsupported, r'requires "\w+" credential|missing (passphrase|memo|api_?secret)'),
    (Unsupported, r"incorrect padding|non-hexadecimal number|invalid base64-encoded"),
    (Unsupported, r"could not deserialize key data|unable to load pem|odd-length string"),
    # -- clocks: looks like a bad signature, and is not the key's fault ----------------------
    (ExchangeAway, r"(?<!\d)-1021\b|\b(50102|50112)\b|REQUEST_EXPIRED|\b(700003|10073)\b"),
    (ExchangeAway, r"timestamp for this request|KC-API-TIMESTAMP|\b400002\b|invalid nonce"),
    (ExchangeAway, r"recvWindow|recv_window"),
    # -- the exchange refuses: its codes, which outweigh the class that ccxt gave them -------
    (Refused, r"(?<!\d)-201[45]\b|(?<!\d)-1022\b|(?<!\d)-2008\b"),  # binance
    (Refused, r"EAPI:Invalid (key|signature)|EGeneral:Permission denied"),  # kraken
    (Refused, r"\b(50100|50101|50103|50105|50107|50110|50111|50113|50114)\b"),  # okx
    (Refused, r"\b(400003|400004|400005|400006|400007|411100)\b"),  # kucoin
    (Refused, r'"?retCode"?:\s*"?(10003|10004|10005|10010|33004)\b'),  # bybit
    (Refused, r"INVALID_KEY|INVALID_SIGNATURE|IP_FORBIDDEN|READ_ONLY"),  # gate
    (Refused, r"\b(700006|700007|10072)\b"),  # mexc
    (Refused, r"\b(40006|40009|40012|40014|40018|40037|40038)\b"),  # bitget
    # -- too fast ----------------------------------------------------------------------------
    (Throttled, r"(?<!\d)-1003\b|(?<!\d)-1015\b|too many (requests|visits)|rate.?limit"),
    (Throttled, r"\b(418|429)\b|DDoSProtection|RateLimitExceeded|banned until|\b50011\b"),
    (Throttled, r"\b10006\b|\b10018\b|429000|EAPI:Rate limit|request (weight|frequency)"),
    # -- the exchange refuses: its words -----------------------------------------------------
    (Refused, rf"{_BAD}[\s_:-]*(the )?((ok-access|kc)-)?(api[-_ ]?)?(key|{_PROOF})\b"),
    (Refused, rf"(api[-_ ]?key|{_PROOF}|ok-access-\w+)\W+(\w+\W+){{0,3}}({_BAD}|{_NOT})"),
    (Refused, r"\bsignature (for this request )?(is )?not valid|does ?n.t match signature"),
    (Refused, r"(ip|address)\W.{0,40}(not|isn't) (in |on )?(the )?(white|allow)(ed|list)"),
    (Refused, r"\b(not|isn't) (in |on )?(the |your )?(ip )?(whitelist|allowlist)"),
    (Refused, r"invalid ip\b|unmatched ip|permission denied|(no|lacks?|insufficient) permission"),
    (Refused, r"AuthenticationError|PermissionDenied|AccountSuspended|AccountNotEnabled"),
    # -- the exchange is not there -----------------------------------------------------------
    (ExchangeAway, r"ExchangeNotAvailable|NetworkError|RequestTimeout|OnMaintenance|InvalidNonce"),
    (ExchangeAway, r"did not respond|timed? ?out|timeout|cannot connect"),
    (ExchangeAway, r"connection (reset|refused)|server disconnected|getaddrinfo"),
    (ExchangeAway, r"name (or service not known|resolution)"),
    (ExchangeAway, r"service unavailable|bad gateway|gateway time|internal server error"),
    (ExchangeAway, r"restricted location|\b451\b|unavailable for legal|\b(520|521|522|523|524)\b"),
    (ExchangeAway, r"system (is )?(under )?(maintenance|busy|upgrade)|under maintenance"),
    # ccxt's own words for a failed call: exchange, method, URL, and a status if there was one
    (ExchangeAway, r"\b(GET|POST|PUT|DELETE) https?://\S+\s*($|(403|407|5\d\d)\b|401\b[^{]*$)"),
    (Refused, r"\b(GET|POST|PUT|DELETE) https?://\S+\s+401\b"),
)  # fmt: skip
TABLE = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _TABLE)


def meaning(text: str) -> type[Verdict] | None:
    """Return the verdict of the first line that fits, None if these are no words we know."""
    return next((kind for kind, pattern in TABLE if pattern.search(text)), None)
