"""Transitions, told by the statement that writes records: set-wise, and in no round trip of theirs.

What is told is what `reconciler.history.transition` returns; the contract's suite proves it.
"""

from reconciler.model import Phase

SLOT = ("bridge", "account", "connector")
_FROM = ("from_phase", "from_reason")
_TO = ("to_phase", "to_reason")
_RECORD = (*SLOT, "key_id", "client_id", "cause", "message")
_OPEN = f"'{Phase.INITIALIZING}'"


def same_slot(one: str, other: str) -> str:
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in SLOT)


def tell(source: str, after: str, was: tuple[str, str], to: tuple[str, str]) -> str:
    """Return the INSERT that tells of each row of *source*, whose record *after* is an alias of.

    *was* and *to* are the phase and the reason before and after it, as SQL.
    """
    record = ", ".join(f"{after}.{name}" for name in _RECORD)
    return f"""
INSERT INTO bridgetender.transitions ({", ".join((*_RECORD, *_FROM, *_TO))}, at)
SELECT {record}, {", ".join((*was, *to))}, clock_timestamp()
FROM {source}
"""


def tell_of_moves(given: str) -> str:
    """Return the INSERT that tells which records in *given* move their slot.

    It has to see the records as they were, so it belongs into the statement that writes these.
    """
    columns = ("phase", "reason", "key_id")
    before = ", ".join(f"r.{name} AS old_{name}" for name in columns)
    stood = ", ".join(f"{_stood(name)} AS {name}" for name in columns)
    return tell(
        f"""
{given} g LEFT JOIN LATERAL (
  SELECT {before}, {stood}
  FROM bridgetender.connectors r LEFT JOIN LATERAL (
    SELECT * FROM (
      SELECT t.to_phase AS phase, t.to_reason AS reason, t.key_id
      FROM bridgetender.transitions t
      WHERE r.phase = {_OPEN} AND {same_slot("t", "r")} ORDER BY t.id DESC LIMIT 1
    ) newest
    WHERE phase <> '{Phase.REMOVED}'
  ) last ON true
  WHERE {same_slot("r", "g")}
) s ON true
WHERE g.phase <> {_OPEN} AND CASE
  WHEN s.phase IS NULL THEN true
  WHEN s.phase = {_OPEN} THEN s.reason <> g.reason
  WHEN s.old_phase = {_OPEN} AND s.old_reason <> s.reason THEN true
  ELSE (s.phase, s.reason, s.key_id) <> (g.phase, g.reason, g.key_id)
END""",
        *("g", ("s.phase", "s.reason"), ("g.phase", "g.reason")),
    )


def _stood(name: str) -> str:
    """An attempt is no place to stand; how it was before is what was told last."""
    known = f"r.phase <> {_OPEN} OR r.last_attempt_at IS NOT NULL"
    return f"coalesce(last.{name}, CASE WHEN {known} THEN r.{name} END)"
