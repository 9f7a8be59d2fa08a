"""Looks for secrets where none may be: logs, answers, tables, processes, and elsewhere."""

import base64
import os
import re
from collections.abc import Iterator
from urllib.parse import quote

from tests.acceptance.firm import MARK
from tests.acceptance.processes import descendants, said_of
from tests.faults.scene import Scene

PAGES = (
    *("/metrics", "/livez?verbose", "/readyz?verbose", "/startupz?verbose"),
    *("/healthz", "/healthz/bridges", "/healthz/bridges/main", "/nothing"),
)
BRIDGE_PAGES = ("/health", "/accounts", "/connectors", "/metrics", "/nothing")
_TABLES = """
SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
WHERE table_schema IN ('public', 'bridgetender')
"""


async def leaks(scene: Scene) -> list[str]:
    """Return where a secret shows, and how often: all that is issued begins with the same mark."""
    texts = _printed(scene) | _of_processes() | await _served(scene) | await _written(scene)
    texts |= {f"sent elsewhere ({n})": text for n, text in enumerate(scene.elsewhere)}
    sought = _pattern(MARK, scene.site.encryption_key.reveal())
    hits = {where: len(sought.findall(text)) for where, text in texts.items()}
    return [f"in {where}: {count} times" for where, count in hits.items() if count]


def _printed(scene: Scene) -> dict[str, str]:
    logs = (*scene.site.logs.iterdir(), scene.cluster.server.log, *scene.logs)
    return {log.name: log.read_text(errors="replace") for log in logs}


def _of_processes() -> dict[str, str]:
    """Return the command lines and environments of all that we started."""
    return {f"process {pid}": said_of(pid) for pid in descendants(os.getpid())}


async def _served(scene: Scene) -> dict[str, str]:
    pages = {}
    for daemon in scene.daemons:
        for path in PAGES:
            pages[f"{daemon}{path}"] = (await scene.firm.health(path, daemon)).text
    async with scene.firm.bridge() as bridge:
        for path in BRIDGE_PAGES:
            pages[f"bridge{path}"] = (await bridge.get(path)).text
    return pages


async def _written(scene: Scene) -> dict[str, str]:
    """Return all text of the database: ciphertexts are not what is sought."""
    texts = {}
    for (table,) in await scene.firm.ask(_TABLES):
        rows = await scene.firm.ask(f"SELECT to_json(t)::text FROM {table} t")
        texts[table] = "\n".join(row for (row,) in rows)
    return texts


def _pattern(*secrets: str) -> re.Pattern[str]:
    forms = (re.escape(form) for secret in secrets for form in disguises(secret))
    return re.compile("|".join(forms))


def disguises(secret: str) -> Iterator[str]:
    """Yield how the beginning of *secret* may look."""
    plain = secret.encode()
    whole = plain[: len(plain) // 3 * 3]  # base64 turns three bytes into four signs
    yield from {secret, quote(secret, safe=""), plain.hex(), base64.b64encode(whole).decode()}
