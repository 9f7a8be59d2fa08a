"""How accounts and connectors look in answers."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bridge.connectors import Account, Connector, Failure
from bridge.proof import Proof
from bridge.rights import Rights
from bridge.service import Added


def account(found: Account, names: list[str]) -> dict[str, Any]:
    # Without zone, as bridges in the field write it.
    created = found.created_at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return {"name": found.name, "connectors": names, "created_at": created}


def connector(found: Connector) -> dict[str, Any]:
    return {
        "account": found.account,
        "connector": found.name,
        "fingerprint": found.fingerprint,
        "added_at": stamp(found.added_at),
        "verified_at": stamp(found.verified_at),
        "state": found.state,
        "last_error": None if found.last_error is None else _failure(found.last_error),
    }


def _failure(found: Failure) -> dict[str, Any]:
    return {"code": found.code, "at": stamp(found.at), "detail": found.detail}


def proof(found: Proof) -> dict[str, Any]:
    """Show what was proven; of the rights, null is what the exchange does not tell."""
    return {
        "verified_at": stamp(found.at),
        "rights": None if found.rights is None else _rights(found.rights),
        "rights_note": found.rights_note,
        "warnings": [warned._asdict() for warned in found.warnings],
    }


def _rights(found: Rights) -> dict[str, Any]:
    return {**asdict(found), "expires_at": stamp(found.expires_at)}


def news(added: Added, account: str) -> str:
    unproven = added.proof is not None and added.proof.at is None
    end = "; nothing is proven, since its balances are public" if unproven else ""
    return f"Connector '{added.connector}' {added.news} for '{account}'{end}"


def stamp(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def page_of_accounts(
    found: list[tuple[Account, list[str]]], boot_id: str, cursor: str | None, limit: int | None
) -> dict[str, Any]:
    """Return the accounts after *cursor*, at most *limit*, each with its connectors' names."""
    if cursor is not None:
        found = [each for each in found if each[0].name > cursor]
    page = found if limit is None else found[:limit]
    answer = {"accounts": [account(*each) for each in page], "boot_id": boot_id}
    return answer | _next(limit, page[-1][0].name if len(page) < len(found) else None)


def page_of_connectors(
    found: list[Connector], boot_id: str, cursor: str | None, limit: int | None
) -> dict[str, Any]:
    """Return the connectors after *cursor*, at most *limit*.

    A cursor is a place in the order: it outlives what it names, and any text is one.
    """
    if cursor is not None:
        account, _, name = cursor.partition("/")  # by parts: "a b/x" sorts before "a/x"
        found = [c for c in found if (c.account, c.name) > (account, name)]
    page = found if limit is None else found[:limit]
    answer = {"boot_id": boot_id, "connectors": [connector(c) for c in page]}
    last = f"{page[-1].account}/{page[-1].name}" if len(page) < len(found) else None
    return answer | _next(limit, last)


def _next(limit: int | None, cursor: str | None) -> dict[str, Any]:
    return {} if limit is None else {"next_cursor": cursor}
