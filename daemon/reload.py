"""Reads the settings anew while the daemon runs, and takes over what may change."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace

import structlog

from daemon import logs
from daemon.fleet import Fleet
from daemon.settings import BadSettings, Settings
from daemon.store.keyring import check_keyring, retry_undecryptable
from daemon.store.routes import write_routes
from daemon.vault import FernetVault
from daemon.wiring import Parts, check_certificates
from reconciler.verdicts import StoreError, Undecryptable

log = structlog.get_logger()

Reread = Callable[[], Settings]
"""Returns the settings as they are now. May raise BadSettings."""

CHANGES = (
    *("keyring", "bridges", "log_json", "log_level", "history_days", "audit_days", "rules"),
    *("console_url", "webhook_url", "webhook_secret", "webhook_pause", "webhook_ca_file"),
)
"""The fields of `Settings` that take effect without a restart."""


async def reload(parts: Parts, fleet: Fleet, vault: FernetVault, reread: Reread) -> None:
    """Take over what changed; where that cannot be, say why and go on as before."""
    try:
        wanted = reread()
        check_certificates(wanted)
        if wanted.keyring is not None:
            await check_keyring(parts.engine, wanted.keyring.unseal)
        await write_routes(parts.engine, wanted.routes)
    except BadSettings as error:
        for mistake in str(error).splitlines():
            log.error("reload_refused", reason=mistake)  # noqa: TRY400
    except Undecryptable:
        reason = "the new ENCRYPTION_KEY does not read what this database was set up with"
        log.error("reload_refused", reason=reason)  # noqa: TRY400 - it says enough
    except StoreError as error:
        log.error("reload_refused", reason=str(error))  # noqa: TRY400
    else:
        await _take_over(parts, fleet, vault, wanted)


async def _take_over(parts: Parts, fleet: Fleet, vault: FernetVault, wanted: Settings) -> None:
    before = parts.settings
    left = [
        each.name
        for each in fields(Settings)
        if each.name not in CHANGES and getattr(wanted, each.name) != getattr(before, each.name)
    ]
    changed = {name: getattr(wanted, name) for name in CHANGES}
    parts.settings = replace(before, **changed)
    logs.configure(json=wanted.log_json, level=wanted.log_level)
    if wanted.keyring is not None:
        parts.keyring = wanted.keyring
        vault.use(wanted.keyring)
        with suppress(StoreError):  # they are looked at once a day anyway
            await retry_undecryptable(parts.engine)
    await fleet.change(wanted.bridges)
    fleet.look(None)
    log.info("reloaded", bridges=[each.name for each in wanted.bridges], needs_restart=left)
