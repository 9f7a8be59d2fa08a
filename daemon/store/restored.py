"""What a backup says that may no longer be true when it is restored."""

from daemon.store.audit import Actor
from daemon.store.tables import SCHEMA


def distrust(by: Actor) -> str:
    """Return the SQL that makes it so, for the transaction of the restore.

    Who held a bridge then does not now. And a record says what was sent last, while the bridge may
    have been sent other credentials since, which one without fingerprints does not show: so every
    key is wished for, and sent anew; where it is there already that changes nothing. The audit
    lacks what was done since the backup, and tells who brought it back.
    """
    return f"SET LOCAL {SCHEMA}.actor = {_literal(by.name)};{_DISTRUST}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_DISTRUST = f"""
DO $$
BEGIN
  IF to_regclass('{SCHEMA}.wishes') IS NULL THEN  -- backed up before its first migration
    RETURN;
  END IF;
  UPDATE {SCHEMA}.leases SET expires_at = clock_timestamp();
  INSERT INTO {SCHEMA}.wishes (key_id)
  SELECT id FROM public.exchange_api_keys WHERE is_active ON CONFLICT DO NOTHING;
  IF to_regclass('{SCHEMA}.audit') IS NOT NULL THEN
    INSERT INTO {SCHEMA}.audit (actor, role, action, detail)
    VALUES (current_setting('{SCHEMA}.actor'), 'operator', 'backup_restored', '{{}}');
  END IF;
END $$
"""
