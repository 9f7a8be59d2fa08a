"""For every alert, what Prometheus scrapes when it fires, and when it stays silent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

HOLDER, STANDBY = (f'instance="{replica}:9464",bridge="main"' for replica in "ab")


@dataclass(frozen=True)
class Case:
    """What Prometheus scraped each minute, and which alert fires at *minute*, with which labels.

    With a severity among them where alerts of one name differ by that.
    """

    alert: str
    fires: Mapping[str, str]
    silent: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=lambda: {"bridge": "main"})
    minute: int = 90
    silent_minute: int = 90


def phases(**counts: str) -> dict[str, str]:
    return {
        f'bridgetender_connectors{{{HOLDER},phase="{phase}"}}': values
        for phase, values in counts.items()
    }


def of_bridge(name: str, values: str, replica: str = HOLDER) -> dict[str, str]:
    return {f"bridgetender_{name}{{{replica}}}": values}


def held(values: str) -> dict[str, str]:
    """One of two replicas has the bridge; what it sees of that, the other does not tell."""
    return of_bridge("lease_held", values) | of_bridge("lease_held", "0x900", STANDBY)


def attempts(**counts: str) -> dict[str, str]:
    of = f'bridgetender_init_attempts_total{{{HOLDER},exchange="okx"'
    return {f'{of},verdict="{verdict}"}}': values for verdict, values in counts.items()}


def reasons(**counts: str) -> dict[str, str]:
    of = f"bridgetender_connectors_reason{{{HOLDER}"
    return {f'{of},reason="{reason}"}}': values for reason, values in counts.items()}


def unready(**ages: str) -> dict[str, str]:
    of = f"bridgetender_oldest_unready_seconds{{{HOLDER}"
    return {f'{of},reason="{reason}"}}': values for reason, values in ages.items()}


def targets(**replicas: str) -> dict[str, str]:
    return {f'up{{instance="{name}:9464"}}': values for name, values in replicas.items()}


def in_namespace(name: str, series: Mapping[str, str]) -> dict[str, str]:
    """One of several installations that a Prometheus watches."""
    return {each.replace("{", f'{{namespace="{name}",'): series[each] for each in series}


def new_pods(name: str, *values: str) -> dict[str, str]:
    return {
        f"bridgetender_{name}{{{pod}}}": each for pod, each in zip(NEW_PODS, values, strict=True)
    }


def not_live(window: str, fires: int, silent: int, minute: int) -> Case:
    """So many of ten thousand keys are not live; at *minute* no slower alert has waited enough."""
    bad, good = (
        UP | phases(live=f"{10_000 - n}x900", retrying=f"{n}x900") for n in (fires, silent)
    )
    return Case("KeysNotLive", bad, good, {"bridge": "main", "window": window}, minute, minute)


NEW_PODS = [f'instance="{pod}:9464",bridge="main"' for pod in "cd"]
WITHIN_1H = {"bridge": "main", "window": "1h"}
PROD = {"bridge": "main", "namespace": "prod"}
UP = held("1x900") | of_bridge("bridge_up", "1x900")
DOWN = held("1x900") | of_bridge("bridge_up", "0x900")
GIVEN_BACK = held("1x10 0x90") | of_bridge("bridge_up", "1x10 stale")
"""The database is away, or what the only replica waits for: nobody knows how the bridge is."""
BUILD = {'bridgetender_build_info{version="1"}': "1x90"}
PASSES = "last_pass_success_timestamp_seconds"
CASES = (
    not_live("1h", 150, 140, minute=10),
    not_live("6h", 70, 55, minute=50),
    not_live("1d", 40, 25, minute=190),
    not_live("3d", 20, 9, minute=545),
    Case(
        "KeysNotLive",  # nobody sees what a bridge has that does not answer
        DOWN | phases(live="9x90"),
        # a burst that is over, and keys that never could be live
        UP
        | phases(live="0x2 9x88", retrying="9x2 0x88")
        | phases(parked="5x90", conflict="3x90", unremovable="2x90"),
        WITHIN_1H,
        minute=10,
        silent_minute=12,
    ),
    Case(
        "KeysNotLive",  # an empty house burns nothing
        UP | phases(live="0x90", pending="9x90"),
        UP | phases(live="0x90"),
        WITHIN_1H,
        minute=10,
    ),
    Case(
        "KeysNotLive",  # an old, empty house gets its first key, which takes its time
        UP | phases(live="0x150 0x90", pending="0x150 3x90"),
        UP | phases(live="0x150 0x2 1x90", pending="0x150 1x2 0x90"),
        WITHIN_1H,
        minute=158,
        silent_minute=156,
    ),
    Case(
        "KeysNotLive",  # the first keys of an installation are all its past, however many
        UP | phases(live="80x900", pending="20x900"),
        UP | phases(live="80x2 100x900", pending="20x2 0x900"),
        WITHIN_1H,
        minute=10,
        silent_minute=4,
    ),
    Case(
        "KeysNotLive",  # one exchange is away at night
        UP | phases(live="17x90", retrying="3x90"),
        UP | phases(live="20x10 19x20 20x60", retrying="0x10 1x20 0x60"),
        WITHIN_1H,
        minute=10,
        silent_minute=29,
    ),
    Case(
        "KeysNotLive",  # a holder that was frozen does not know yet that it is one no more
        UP | of_bridge("bridge_up", "1x900", STANDBY) | phases(live="80x90", retrying="20x90"),
        UP | of_bridge("bridge_up", "1x900", STANDBY) | phases(live="100x90"),
        WITHIN_1H,
        minute=10,
    ),
    *(
        Case(
            "KeysNotLive",  # the bridge was down, and is named no more
            DOWN | phases(live="9x900"),
            {name: values.replace("x900", "x45 stale") for name, values in DOWN.items()}
            | phases(live="9x45 stale"),
            WITHIN_1H,
            minute=10,
            silent_minute=minute,
        )
        for minute in (47, 65, 185, 400)
    ),
    Case(
        "KeysNotLive",  # holder and standby give way to two others
        UP | phases(live="0x90", retrying="9x90"),
        {name: values.replace("x900", "x60 stale") for name, values in UP.items()}
        | phases(live="99x60 stale")
        | new_pods("lease_held", "_x59 0x2 1x90", "_x59 0x90")
        | new_pods("bridge_up", "_x61 1x90", "_x90")
        | {f'bridgetender_connectors{{{NEW_PODS[0]},phase="live"}}': "_x59 0x3 99x90"},
        WITHIN_1H,
        minute=10,
        silent_minute=66,
    ),
    Case("BridgeDown", DOWN, of_bridge("bridge_up", "0 1x89")),
    Case("BridgeDown", DOWN, GIVEN_BACK),
    Case(
        "KeysNotLive",
        DOWN | phases(live="9x90"),
        GIVEN_BACK | phases(live="9x10 0x80"),
        labels=WITHIN_1H,
        minute=10,
    ),
    Case("BridgeDown", in_namespace("prod", DOWN) | in_namespace("staging", UP), UP, PROD),
    Case(
        "BridgeWithoutHolder",
        in_namespace("prod", held("0x90")) | in_namespace("staging", UP),
        in_namespace("prod", UP) | in_namespace("staging", UP),
        PROD,
    ),
    Case(
        "OldestUnready",
        unready(retrying="0+60x90", unclear="0+60x90", exchange_away="0x90"),
        unready(unclear="600x90"),
        {"bridge": "main", "severity": "page"},
    ),
    Case(
        "OldestUnready",  # which nobody here can mend
        unready(exchange_away="0+60x90", unclear="0x90"),
        unready(exchange_away="600x90"),
        {"bridge": "main", "severity": "ticket"},
    ),
    Case(
        "NoSuccessfulPass",
        UP | of_bridge(PASSES, "9999x90"),  # ahead of everybody's clock
        UP | of_bridge(PASSES, "-9999+60x90") | of_bridge(PASSES, "0x90", STANDBY),
    ),
    Case(
        "NoSuccessfulPass",  # never any, and the bridge is down, which another alert tells
        UP | of_bridge(PASSES, "0x90"),
        DOWN | of_bridge(PASSES, "0x90"),
    ),
    Case(
        "NoSuccessfulPass",  # nobody could
        GIVEN_BACK | of_bridge(PASSES, "0+60x10 600x80"),
        GIVEN_BACK | of_bridge(PASSES, "0+60x10 600x80"),
        silent_minute=15,
    ),
    Case("BridgeWithoutHolder", GIVEN_BACK, held("1x90")),
    Case("DaemonAbsent", {"up": "1x90"}, in_namespace("prod", BUILD), {}),
    Case(
        "DaemonAbsent",  # the others are no substitute
        in_namespace("prod", dict.fromkeys(BUILD, "1x20 stale")) | in_namespace("staging", BUILD),
        in_namespace("prod", BUILD) | in_namespace("staging", BUILD),
        {"namespace": "prod"},
    ),
    Case(
        "ReplicaAbsent",
        targets(a="1x90", b="0x90") | BUILD,
        targets(a="1x90", b="1x20 0x5 1x90") | BUILD,
        {"instance": "b:9464"},
    ),
    Case(
        "MassRefusal",
        {f'bridgetender_mass_refusal{{{HOLDER},exchange="okx"}}': "1x90"},
        {f'bridgetender_mass_refusal{{{HOLDER},exchange="okx"}}': "0x90"},
        {"bridge": "main", "exchange": "okx"},
    ),
    Case(
        "InitSuccessLow",
        attempts(done="0+1x90", unclear="0+1x90"),
        # a quiet hour with one key that is retried, and many wrong keys of their owners
        attempts(done="0x90", unclear="0+0.1x90", refused="0+9x90"),
    ),
    Case(
        "KeysParked",
        reasons(refused="1x90"),
        reasons(refused="0x90", slot_taken="4x90", paused="4x90", undecryptable="4x90"),
        {"bridge": "main", "reason": "refused"},
    ),
    Case(
        "KeysParked",  # which is nobody's fault, and ours to mend
        reasons(account_taken="1x90"),
        reasons(account_taken="0x90"),
        {"bridge": "main", "reason": "account_taken"},
    ),
    Case(
        "DecryptFailures",
        {"bridgetender_decrypt_failures_total": "0x60 1x30"},
        {"bridgetender_decrypt_failures_total": "1x90"},
        {},
    ),
    Case("DecryptFailures", reasons(undecryptable="1x90"), reasons(undecryptable="0x90"), {}),
    Case(
        "ConnectorsUnremovable",  # for a moment, each that is removed is one
        of_bridge("orphans", "3x90"),
        of_bridge("orphans", "_x80 3x10"),
    ),
    Case(
        "ConnectorsUnremovable",  # their bridge is named no more
        {"bridgetender_dropped_connectors": "3x90"},
        {"bridgetender_dropped_connectors": "0x90"},
        {},
    ),
    Case(
        "WebhookFailing",
        of_bridge("webhook_waiting_seconds", "0+60x90"),
        of_bridge("webhook_waiting_seconds", "0+60x14 0x75"),
    ),
    Case(
        "NullUpdatedAt",
        {"bridgetender_null_updated_at_rows": "2x90"},
        {"bridgetender_null_updated_at_rows": "0x90"},
        {},
    ),
    Case(
        "CertificateExpires",  # of a minute 0 in 1970
        {"bridge_certificate_expiry_timestamp_seconds": "600000x90"},
        {"bridge_certificate_expiry_timestamp_seconds": "620000x90"},
        {},
    ),
)
