"""A Trading Bridge of the story, with the habits that such bridges have in the field."""

import json
from dataclasses import dataclass, field

from tests.daemon.bridges.wire import Asked, Reply, Said, told

SUPPORTED = frozenset({"binance", "bitmart", "gate", "htx", "kraken", "okx"})
REFUSAL = 'binance {"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'


@dataclass
class StoryBridge:
    """Call it with what was asked. `instead` answers first, while it has anything to say."""

    accounts: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    instead: dict[tuple[str, str], Said] = field(default_factory=dict)
    heard: list[Asked] = field(default_factory=list)
    as_list: bool = False

    def __call__(self, asked: Asked) -> Said:
        self.heard.append(asked)
        place = asked.method, asked.path
        if place in self.instead:
            return self.instead[place]
        answers = {
            ("GET", "/accounts"): self._listing,
            ("GET", "/accounts/"): lambda _: Reply(307, headers={"Location": "/accounts"}),
            ("POST", "/accounts/create"): self._create,
            ("POST", "/connectors/add"): self._add,
            ("GET", "/portfolio"): self._portfolio,
        }
        answer = answers.get(place)
        return answer(asked) if answer else told(404, detail="Not Found")

    def requests(self, method: str, path: str) -> list[Asked]:
        return [a for a in self.heard if (a.method, a.path) == (method, path)]

    def restart(self) -> None:
        self.accounts.clear()

    def _listing(self, _asked: Asked) -> Reply:
        stamp = "2026-11-23T15:42:44.985309"
        found = [
            {"name": name, "connectors": list(connectors), "created_at": stamp}
            for name, connectors in self.accounts.items()
        ]
        return told(accounts=found)

    def _create(self, asked: Asked) -> Reply:
        name = asked.json()["account_name"]
        known = name in self.accounts
        self.accounts.setdefault(name, {})
        message = f"Account '{name}' {'already exists' if known else 'created'}"
        return told(success=True, account_name=name, message=message)

    def _add(self, asked: Asked) -> Reply:
        body = asked.json()
        if not body.get("api_secret"):
            problem = {"type": "missing", "loc": ["body", "api_secret"], "input": body}
            return told(422, detail=[problem])
        connectors = self.accounts.setdefault(body["account_name"], {})
        name = body["connector_name"].lower()
        if name not in SUPPORTED:
            listed = sorted(SUPPORTED)
            return told(400, detail=f"Unsupported exchange: {name}. Supported: {listed}")
        if body["api_key"] in self.refused:
            return told(500, detail=f"Failed to add connector: {REFUSAL}")
        connectors[name] = body
        return told(success=True, connector=name, message="Connector added", markets_loaded=68)

    def _portfolio(self, asked: Asked) -> Reply:
        account = asked.query["account"]
        if account not in self.accounts:
            return told(404, detail=f"Account '{account}' not found")
        if self.as_list:
            row = {"asset": "USDT", "free": 1000, "locked": 0, "total": 1000}
            rows = [{"connector": name, **row} for name in self.accounts[account]]
            return told(account=account, balances=rows)
        found = {name: self._balance(keys) for name, keys in self.accounts[account].items()}
        return told(account=account, balances=found)

    def _balance(self, keys: dict[str, str]) -> dict[str, object]:
        if keys["api_key"] in self.refused:
            return {"error": REFUSAL}
        return json.loads('{"BTC":{"total":0.6,"free":0.5,"used":0.1}}')  # type: ignore[no-any-return]
