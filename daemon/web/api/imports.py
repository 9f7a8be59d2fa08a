"""Many keys at once: each row is told what became of it, and a bad one spoils no other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import Depends, Query, Request
from pydantic import BaseModel

from daemon.entry import BadEntry
from daemon.importing import COLUMNS, rows_of
from daemon.intake import counts
from daemon.web.api.parts import Admin, Id, Keeping, router
from daemon.web.auth import Caller
from daemon.web.forms import Forms
from reconciler.model import ClientId

routes = router("/api/admin", "keys")
_COLUMNS = ", ".join(COLUMNS)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f'CSV with a header, or JSON: a list, or {{"keys": [...]}}. Of {_COLUMNS}.',
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "client,exchange,api_key,api_secret\nAcme Capital,binance,KEY,SECRET\n",
            },
            "application/json": {
                "schema": {"type": "array", "items": {"type": "object"}},
                "example": [{"exchange": "binance", "api_key": "KEY", "api_secret": "SECRET"}],
            },
        },
    }
}
DryRun = Annotated[bool, Query(description="Say what would become of each row; store nothing.")]


class RowReport(BaseModel):
    """Rows are counted from 1. `words` say what is wrong, and repeat no credentials."""

    row: int
    state: str
    words: str
    client: str | None
    exchange: str | None
    label: str | None
    id: UUID | None


class Imported(BaseModel):
    """`counts`: how many rows were `added` (or `would_be_added`), or are `duplicate`, ..."""

    dry_run: bool
    counts: Mapping[str, int]
    rows: list[RowReport]


@dataclass(slots=True)
class _Taking:
    """Takes in what a request holds."""

    keeper: Keeping
    forms: Forms

    async def __call__(
        self, request: Request, caller: Caller, only: ClientId | None, *, dry_run: bool
    ) -> Imported:
        try:
            text = (await request.body()).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadEntry("import: is not UTF-8 text") from None
        intake = await self.keeper.intake(caller.actor, self.forms.lacking)
        read = await to_thread.run_sync(rows_of, text)  # thousands of rows would hold up everybody
        outcomes = await intake.take(read, only, dry_run=dry_run)
        rows = [RowReport(**asdict(each)) for each in outcomes]
        return Imported(dry_run=dry_run, counts=counts(outcomes), rows=rows)


Taking = Annotated[_Taking, Depends(_Taking)]


@routes.post("/clients/{client_id}/api-keys/import", openapi_extra=_BODY)
async def import_keys(
    client_id: Id, request: Request, taking: Taking, caller: Admin, *, dry_run: DryRun = False
) -> Imported:
    """Store many keys of one client; what is there already is skipped."""
    client = await taking.keeper.client(ClientId(client_id))
    return await taking(request, caller, client.id, dry_run=dry_run)


@routes.post("/api-keys/import", openapi_extra=_BODY)
async def import_keys_of_all(
    request: Request, taking: Taking, caller: Admin, *, dry_run: DryRun = False
) -> Imported:
    """The same for many clients: each row names its own, by name or id."""
    return await taking(request, caller, None, dry_run=dry_run)
