"""What a backup says that may no longer be true when it is restored."""

from daemon.store.tables import SCHEMA

DISTRUST = f"""
DO $$
BEGIN
  IF to_regclass('{SCHEMA}.wishes') IS NULL THEN  -- backed up before its first migration
    RETURN;
  END IF;
  UPDATE {SCHEMA}.leases SET expires_at = clock_timestamp();
  INSERT INTO {SCHEMA}.wishes (key_id)
  SELECT id FROM public.exchange_api_keys WHERE is_active ON CONFLICT DO NOTHING;
END $$
"""
"""Who held a bridge then does not now. And a record says what was sent last, while the bridge may
have been sent other credentials since, which one without fingerprints does not show: so every key
is wished for, and sent anew; where it is there already that changes nothing."""
