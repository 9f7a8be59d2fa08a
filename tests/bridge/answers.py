"""What exchanges say no with, and what it means: a table that real ccxt is shown.

Codes and texts are those of ccxt 4.5.90's tables, its users' reports and the exchanges' lists.
"""

from typing import NamedTuple

from bridge.errors import Code


class Answer(NamedTuple):
    """`says` must be among the words that the bridge finds for it."""

    exchange: str
    status: int
    body: str
    code: Code
    says: str = ""


CLOCK = "clock"
BANNED = "banned"
PLACE = "location"
TOO_OFTEN = "this address asks too often"
ALLOWLIST = "allowlist"


def _binance(status: int, number: int, message: str, code: Code, says: str = "") -> Answer:
    return Answer("binance", status, f'{{"code":{number},"msg":"{message}"}}', code, says)


def _okx(status: int, number: int, message: str, code: Code, says: str = "") -> Answer:
    return Answer("okx", status, f'{{"msg":"{message}","code":"{number}"}}', code, says)


def _kucoin(status: int, number: int, message: str, code: Code, says: str = "") -> Answer:
    return Answer("kucoin", status, f'{{"code":"{number}","msg":"{message}"}}', code, says)


def _kraken(message: str, code: Code, says: str = "", status: int = 200) -> Answer:
    return Answer("kraken", status, f'{{"error":["{message}"]}}', code, says)


def _bybit(number: int, message: str, code: Code, says: str = "", status: int = 200) -> Answer:
    body = f'{{"retCode":{number},"retMsg":"{message}","result":{{}},"retExtInfo":{{}}}}'
    return Answer("bybit", status, body, code, says)


def _gate(status: int, label: str, message: str, code: Code, says: str = "") -> Answer:
    return Answer("gate", status, f'{{"label":"{label}","message":"{message}"}}', code, says)


def _mexc(status: int, number: int, message: str, code: Code, says: str = "") -> Answer:
    return Answer("mexc", status, f'{{"code":{number},"msg":"{message}"}}', code, says)


def _bitget(status: int, number: int, message: str, code: Code, says: str = "") -> Answer:
    body = f'{{"code":"{number}","msg":"{message}","requestTime":1,"data":null}}'
    return Answer("bitget", status, body, code, says)


def _htx(error: str, message: str, code: Code, says: str = "") -> Answer:
    body = f'{{"status":"error","err-code":"{error}","err-msg":"{message}","data":null}}'
    return Answer("htx", 200, body, code, says)


def _coinbase(status: int, error: str, message: str, code: Code, says: str = "") -> Answer:
    body = f'{{"errors":[{{"id":"{error}","message":"{message}"}}]}}'
    return Answer("coinbase", status, body, code, says)


def _cryptocom(status: int, number: int, message: str, code: Code, says: str = "") -> Answer:
    body = f'{{"id":1,"method":"private/user-balance","code":{number},"message":"{message}"}}'
    return Answer("cryptocom", status, body, code, says)


_WAF = "<html><head><title>403 Forbidden</title></head><body>cloudfront</body></html>"
_COUNTRY = _WAF.replace("cloudfront", "configured to block access from your country")
_KEY_IP = "Invalid API-key, IP, or permissions for action."
_UNIX = "1893456000"  # 2030: a ban that is still on
_SIGNATURE = "Signature not valid: "

PAPER: tuple[Answer, ...] = (
    _binance(401, -2015, _KEY_IP, "refused", ALLOWLIST),
    _binance(401, -2014, "API-key format invalid.", "refused", "unknown"),
    _binance(400, -2008, "Invalid Api-Key ID.", "refused", "unknown"),
    _binance(400, -1022, "Signature for this request is not valid.", "refused", "signature"),
    _binance(400, -1002, "You are not authorized to execute this request.", "refused"),
    _binance(400, -1021, "Timestamp for this request was 1000ms ahead.", "unavailable", CLOCK),
    _binance(429, -1003, "Too much request weight used.", "throttled"),
    _binance(418, -1003, f"IP banned until {_UNIX}000.", "throttled", BANNED),
    _binance(503, -1008, "Server is currently overloaded.", "throttled"),
    _binance(400, -1001, "Internal error; unable to process your request.", "unavailable"),
    _binance(504, -1007, "Timeout waiting for response from backend server.", "unavailable"),
    _binance(451, 0, "Service unavailable from a restricted location.", "unavailable", PLACE),
    _binance(400, -999_999, "A code that nobody knows.", "unclear"),
    _binance(500, -999_999, "A code that nobody knows.", "unavailable"),
    _binance(401, -999_999, "A code that nobody knows.", "refused"),
    Answer("binance", 403, _WAF, "unavailable"),
    Answer("binance", 401, _WAF, "unavailable", "proxy"),
    _okx(401, 50100, "API frozen, please contact customer service.", "refused", "frozen"),
    _okx(401, 50101, "APIKey does not match current environment.", "refused", "environment"),
    _okx(401, 50102, "Timestamp request expired.", "unavailable", CLOCK),
    _okx(401, 50103, "Request header OK-ACCESS-KEY cannot be empty.", "refused"),
    _okx(401, 50105, "Request header OK-ACCESS-PASSPHRASE incorrect.", "refused", "passphrase"),
    _okx(401, 50110, "Your IP 1.2.3.4 is not in the whitelist.", "refused", ALLOWLIST),
    _okx(401, 50111, "Invalid OK-ACCESS-KEY.", "refused", "unknown"),
    _okx(401, 50112, "Invalid OK-ACCESS-TIMESTAMP.", "unavailable", CLOCK),
    _okx(401, 50113, "Invalid Sign.", "refused", "signature"),
    _okx(401, 50114, "Invalid authorization.", "refused"),
    _okx(401, 50119, "API key doesn't exist.", "refused", "expired"),
    _okx(401, 50120, "This API key doesn't have permission.", "refused"),
    _okx(200, 50007, "Account blocked.", "refused", "frozen"),
    _okx(200, 50012, "Account status invalid.", "refused", "frozen"),
    _okx(429, 50011, "Rate limit reached.", "throttled"),
    _okx(200, 50061, "Sub-account rate limit exceeded.", "throttled"),
    _okx(503, 50001, "Service temporarily unavailable.", "unavailable", "maintenance"),
    _okx(400, 50004, "Endpoint request timeout.", "unavailable"),
    _okx(500, 50026, "System error. Try again later.", "unavailable"),
    _kucoin(400, 400001, "Please check KC-API-KEY, KC-API-SIGN, KC-API-TIMESTAMP.", "refused"),
    _kucoin(400, 400002, "KC-API-TIMESTAMP Invalid.", "unavailable", CLOCK),
    _kucoin(401, 400003, "KC-API-KEY not exists.", "refused", "expired"),
    _kucoin(401, 400004, "KC-API-PASSPHRASE error.", "refused", "passphrase"),
    _kucoin(401, 400005, "Signature error.", "refused", "signature"),
    _kucoin(403, 400006, "Invalid request ip.", "refused", ALLOWLIST),
    _kucoin(403, 400007, "Access denied --> Require more permission.", "refused", "permission"),
    _kucoin(400, 400100, "Parameter Error.", "unclear"),
    _kucoin(400, 411100, "User are frozen.", "refused", "frozen"),
    _kucoin(429, 429000, "Too Many Requests.", "throttled"),
    _kucoin(200, 429000, "Too many requests. System-level limit.", "throttled"),
    _kucoin(400, 408000, "Network timeout, please try again later.", "unavailable"),
    _kucoin(400, 400302, "We are currently unavailable in the U.S.", "unavailable", PLACE),
    _kucoin(500, 500000, "Internal Server Error.", "unavailable"),
    _kraken("EAPI:Invalid key", "refused", "expired"),
    _kraken("EAPI:Invalid signature", "refused", "signature"),
    _kraken("EAPI:Invalid nonce", "unavailable", "nonce"),
    _kraken("EGeneral:Permission denied", "refused", "permission"),
    _kraken("ETrade:User Locked", "refused", "frozen"),
    _kraken("EAuth:Account temporary disabled", "refused", "frozen"),
    _kraken("EAuth:Account unconfirmed", "refused", "confirmed"),
    _kraken("EGeneral:Temporary lockout", "throttled", "locked"),
    _kraken("EAPI:Rate limit exceeded", "throttled"),
    _kraken("EGeneral:Too many requests", "throttled"),
    _kraken("EAuth:Too many requests", "throttled"),
    _kraken(f"EService:Throttled: {_UNIX}", "throttled"),
    _kraken(f"EService: Throttled: {_UNIX}", "throttled"),
    _kraken("EService:Unavailable", "unavailable"),
    _kraken("EService:Busy", "unavailable"),
    _kraken("EService:Timeout", "unavailable"),
    _kraken("EGeneral:Internal error", "unavailable"),
    _bybit(10002, "invalid request, check your server timestamp.", "unavailable", CLOCK),
    _bybit(-1, "request expired: o@0, now[1] diff[2]", "unavailable", CLOCK),
    _bybit(10003, "API key is invalid.", "refused", "unknown"),
    _bybit(10003, "API key is invalid.", "refused", "unknown", status=401),
    _bybit(10004, "error sign!", "refused", "signature"),
    _bybit(10005, "Permission denied for current apikey.", "refused", "permission"),
    _bybit(10006, "Too many visits!", "throttled"),
    _bybit(10008, "User had been banned.", "refused", "frozen"),
    _bybit(10009, "IP had been banned.", "throttled", BANNED),
    _bybit(10010, "Unmatched IP, check your bound IP addresses.", "refused", ALLOWLIST),
    _bybit(10016, "System error. Please try again later.", "unavailable"),
    _bybit(10000, "Server Timeout", "unavailable"),
    _bybit(10018, "Exceeded the IP Rate Limit.", "throttled", TOO_OFTEN),
    _bybit(10024, "Compliance rules triggered.", "refused"),
    _bybit(10429, "System level frequency protection.", "throttled"),
    _bybit(33004, "Your api key has expired.", "refused", "expired"),
    _bybit(-2015, "Your api key has expired.", "refused", "expired"),
    Answer("bybit", 401, "", "refused"),
    Answer("bybit", 401, "<html>", "unavailable", "proxy"),
    Answer("bybit", 403, _WAF, "throttled", TOO_OFTEN),
    Answer("bybit", 403, "403, access too frequent", "throttled", BANNED),
    Answer("bybit", 403, '{"retCode":403,"retMsg":"Access too frequent"}', "throttled", BANNED),
    Answer("bybit", 403, _COUNTRY, "unavailable", PLACE),
    Answer("kucoin", 429, "error code: 1015", "throttled", TOO_OFTEN),
)
OTHERS: tuple[Answer, ...] = (
    _gate(401, "INVALID_KEY", "Invalid key provided", "refused", "unknown"),
    _gate(401, "INVALID_SIGNATURE", "Signature mismatch", "refused", "signature"),
    _gate(403, "REQUEST_EXPIRED", "gap between request Timestamp and ours", "unavailable", CLOCK),
    _gate(403, "IP_FORBIDDEN", "IP is not on whitelist", "refused", ALLOWLIST),
    _gate(403, "FORBIDDEN", "Request API key does not have permission", "refused", "permission"),
    _gate(403, "ACCOUNT_LOCKED", "Account is locked", "refused", "frozen"),
    _gate(429, "TOO_MANY_REQUESTS", "Request Rate Limit Exceeded", "throttled"),
    _gate(503, "TOO_BUSY", "System busy", "unavailable"),
    _gate(400, "A_LABEL_THAT_NOBODY_KNOWS", "", "unclear"),
    _mexc(400, 700002, "Signature for this request is not valid.", "refused", "expired"),
    _mexc(400, 700003, "Timestamp is outside of the recvWindow.", "unavailable", CLOCK),
    _mexc(400, 10073, "invalid Request-Time", "unavailable", CLOCK),
    _mexc(400, 700006, "IP [1.2.3.4] not in the ip white list", "refused", ALLOWLIST),
    _mexc(400, 10072, "Api key info invalid", "refused", "unknown"),
    _mexc(400, 700007, "No permission to access the endpoint.", "refused", "permission"),
    _mexc(400, 402, "API Key expired", "refused", "expired"),
    _mexc(400, 60005, "your account is abnormal", "refused", "frozen"),
    _mexc(429, 429, "Too Many Requests", "throttled"),
    _bitget(400, 40006, "Invalid ACCESS_KEY", "refused", "unknown"),
    _bitget(400, 40009, "sign signature error", "refused", "signature"),
    _bitget(400, 40012, "apikey/password is incorrect", "refused", "passphrase"),
    _bitget(400, 40008, "Request timestamp expired", "unavailable", CLOCK),
    _bitget(400, 30008, "timestamp request expired", "unavailable", CLOCK),
    _bitget(400, 40014, "Incorrect permissions", "refused", "permission"),
    _bitget(400, 40018, "Invalid IP", "refused", ALLOWLIST),
    _bitget(400, 40013, "User status is abnormal", "refused", "frozen"),
    _bitget(400, 30017, "apikey's broker id does not match", "refused", "environment"),
    _bitget(400, 40015, "System is abnormal, please try again later", "unavailable"),
    _bitget(400, 40085, "You are in Unified Account mode", "unavailable", "kind of account"),
    _bitget(429, 429, "Too many requests", "throttled"),
    _htx("api-signature-not-valid", _SIGNATURE + "Incorrect Access key", "refused", "unknown"),
    _htx("api-signature-not-valid", _SIGNATURE + "Verification failure", "refused"),
    _htx("api-signature-not-valid", _SIGNATURE + "API key has no permission", "refused", "permiss"),
    _htx("api-signature-not-valid", _SIGNATURE + "Incorrect IP address", "refused", ALLOWLIST),
    _htx(
        "api-signature-not-valid",
        _SIGNATURE + "Invalid submission time or incorrect time format",
        "unavailable",
        CLOCK,
    ),
    _htx("base-request-exceed-frequency-limit", "Frequency too high", "throttled"),
    _htx("system-maintenance", "System is in maintenance!", "unavailable"),
    Answer("coinbase", 401, "Unauthorized\n", "refused"),
    Answer("coinbase", 401, "<html>", "unavailable", "proxy"),
    _coinbase(401, "authentication_error", "invalid api key", "refused"),
    _coinbase(401, "authentication_error", "request timestamp expired", "unavailable", CLOCK),
    _coinbase(500, "internal_server_error", "Internal server error", "unavailable"),
    _coinbase(429, "rate_limit_exceeded", "Too many requests", "throttled"),
    _cryptocom(401, 40101, "UNAUTHORIZED", "refused"),
    _cryptocom(400, 40102, "INVALID_NONCE", "unavailable", CLOCK),
    _cryptocom(401, 40103, "IP_ILLEGAL", "refused", ALLOWLIST),
    _cryptocom(429, 42901, "TOO_MANY_REQUESTS", "throttled"),
    _cryptocom(500, 50001, "ERR_INTERNAL", "unavailable"),
    Answer("bingx", 200, '{"code":100413,"msg":"Incorrect apiKey"}', "refused", "unknown"),
    Answer("bingx", 200, '{"code":100419,"msg":"not in IP whitelist"}', "refused", ALLOWLIST),
    Answer("bingx", 200, '{"code":100421,"msg":"timestamp mismatch"}', "unavailable", CLOCK),
    Answer("bingx", 200, '{"code":100500,"msg":"The system is busy"}', "unavailable"),
    Answer("bitfinex", 500, '["error",10100,"apikey: invalid"]', "refused"),
    Answer("bitfinex", 500, '["error",10114,"nonce: small"]', "unavailable", "nonce"),
    Answer("bitfinex", 429, '["error",11010,"ratelimit: error"]', "throttled"),
    Answer("bitstamp", 403, '{"error":"IP address not allowed"}', "refused", ALLOWLIST),
    Answer("bitstamp", 403, '{"error":"Your account is frozen"}', "refused", "frozen"),
    Answer(
        "deribit",
        400,
        '{"jsonrpc":"2.0","error":{"message":"invalid_credentials","code":13004}}',
        "refused",
    ),
    Answer(
        "deribit",
        400,
        '{"jsonrpc":"2.0","error":{"message":"too_many_requests","code":10028}}',
        "throttled",
    ),
    Answer("hyperliquid", 429, "null", "throttled"),
    Answer("bitvavo", 400, '{"errorCode":304,"error":"timestamp too old"}', "unavailable", CLOCK),
)
