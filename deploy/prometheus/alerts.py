"""What is recorded, and what somebody is told of: the objective's rules and every alert."""

from dataclasses import dataclass, field

from deploy.grafana.panels import Panel

OBJECTIVE = 0.999
"""The share of active, valid keys that are live, over time."""
_INSTALLATION = "job, namespace"
_BRIDGE = f"{_INSTALLATION}, bridge"
"""One Prometheus may watch several installations, each of which calls its bridge `main`."""
_VALID = "pending|initializing|live|retrying"
"""Phases of keys that could be live: the others are the owner's to mend, or paused."""
_OWNERS = "refused|unsupported|undecryptable|conflict"
"""Verdicts that are the key owner's fault."""
_EXCHANGES = "exchange_away|throttled"
"""Reasons that are an exchange's fault: nobody here can mend them."""
_SOMEBODYS = "refused|unsupported|account_taken|credentials_taken"
"""Reasons for which a key waits until somebody mends something."""


@dataclass(frozen=True)
class Alert:
    """One alert; *wait* is in seconds. `{window}` in the text is a length of time in seconds."""

    name: str
    severity: str
    expr: str
    wait: float
    summary: str
    panel: Panel
    """What the dashboard shows of it."""
    labels: dict[str, str] = field(default_factory=dict)


def burn(severity: str, factor: float, long: float, short: float) -> str:
    """Return the condition that the budget burns *factor* times too fast, over both windows.

    Not of a bridge that no replica names any more, nor of one that is younger than the short one:
    its first keys would be all its past. Few keys wake nobody by their share alone.
    """
    limit = f"{factor:g} * {1 - OBJECTIVE:g}"
    named = f"on ({_BRIDGE}) bridgetender_lease_held"
    burns = (
        f"{not_live(long)} > {limit} and {not_live(short)} > {limit}"
        f" and {named} and {named} offset {{{short:g}}}"
    )
    if severity != "page":
        return burns
    return f"{burns} and avg_over_time(bridgetender:not_live:keys[{{{short:g}}}]) >= {FEW}"


def not_live(window: float) -> str:
    """Return the record's name, which is the same at every speed."""
    return f"bridgetender:not_live:ratio_{length(window)}"


def length(seconds: float, speed: float = 1.0) -> str:
    """Return a length of time as Prometheus writes it."""
    scaled = max(round(seconds / speed), 1) if seconds else 0
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if scaled and scaled % size == 0:
            return f"{scaled // size}{unit}"
    return f"{scaled}s"


FEW = 3
"""Keys that wake somebody together; a single one does by its age."""
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
BURNS = (
    ("page", 14.4, HOUR, 5 * MINUTE, 2 * MINUTE),
    ("page", 6.0, 6 * HOUR, 30 * MINUTE, 15 * MINUTE),
    ("ticket", 3.0, DAY, 2 * HOUR, HOUR),
    ("ticket", 1.0, 3 * DAY, 6 * HOUR, 3 * HOUR),
)
WINDOWS = sorted({length for _, _, *both, _ in BURNS for length in both})
_UP = f"max by ({_BRIDGE}) (bridgetender_bridge_up)"
"""Only a holder that has asked the bridge says so; nobody's word is no word."""
# what was live is so only as long as the bridge lists it
_LIVE = f'sum by ({_BRIDGE}) (bridgetender_connectors{{phase="live"}}) * {_UP}'
_COULD = f'sum by ({_BRIDGE}) (bridgetender_connectors{{phase=~"{_VALID}"}})'
RECORDS = {
    "bridgetender:not_live:keys": f"{_COULD} - {_LIVE}",
    # 0 where no key could be live: an empty house burns no budget
    "bridgetender:not_live:ratio": (
        f"bridgetender:not_live:keys / ({_COULD} > 0) or 0 * bridgetender:not_live:keys"
    ),
    **{not_live(w): f"avg_over_time(bridgetender:not_live:ratio[{{{w:g}}}])" for w in WINDOWS},
    "bridgetender:init_attempts:rate": (
        f"sum by ({_BRIDGE})"
        f' (rate(bridgetender_init_attempts_total{{verdict!~"{_OWNERS}"}}[{{{HOUR:g}}}]))'
    ),
    "bridgetender:init_success:ratio": (
        f"sum by ({_BRIDGE})"
        f' (rate(bridgetender_init_attempts_total{{verdict="done"}}[{{{HOUR:g}}}]))'
        " / (bridgetender:init_attempts:rate > 0)"
    ),
}
ALERTS = (
    *(
        Alert(
            *("KeysNotLive", severity, burn(severity, factor, long, short), wait),
            f"Keys that could be live are not: the error budget burns {factor:g} times too fast",
            Panel.BURN,
            {"window": length(long)},
        )
        for severity, factor, long, short, wait in BURNS
    ),
    Alert(
        *("BridgeDown", "page", f"{_UP} == 0", 2 * MINUTE),
        "The Trading Bridge does not answer",
        Panel.BRIDGE_UP,
    ),
    *(
        Alert(
            "OldestUnready",
            severity,
            f"max by ({_BRIDGE})"
            f' (bridgetender_oldest_unready_seconds{{reason{which}"{_EXCHANGES}"}})'
            f" > {{={15 * MINUTE:g}}}",
            5 * MINUTE,
            f"A key that should be live has not been for 15 minutes and more{why}",
            Panel.OLDEST_UNREADY,
        )
        for severity, which, why in (
            ("page", "!~", ""),
            ("ticket", "=~", ": its exchange is away or throttles"),
        )
    ),
    Alert(
        "NoSuccessfulPass",
        "page",
        # not by its age, which a clock that is wrong hides
        f"max by ({_BRIDGE})"
        f" (changes(bridgetender_last_pass_success_timestamp_seconds[{{{5 * MINUTE:g}}}])) == 0"
        f" unless {_UP} == 0",
        2 * MINUTE,
        "Nobody has compared keys with the bridge for 5 minutes, and not because it is down",
        Panel.LAST_PASS,
    ),
    Alert(
        "BridgeWithoutHolder",
        "page",
        f"sum by ({_BRIDGE}) (bridgetender_lease_held) == 0",
        2 * MINUTE,
        "No replica looks after the bridge",
        Panel.HOLDERS,
    ),
    Alert(
        "DaemonAbsent",
        "page",
        # another installation may be well: this one was there within a day; or none was anywhere
        f"group by ({_INSTALLATION}) (last_over_time(bridgetender_build_info[{{{DAY:g}}}]))"
        f" unless on ({_INSTALLATION}) bridgetender_build_info"
        f" or absent(last_over_time(bridgetender_build_info[{{{DAY:g}}}]))",
        5 * MINUTE,
        "Prometheus sees no Bridgetender at all",
        Panel.REPLICAS,
    ),
    Alert(
        "ReplicaAbsent",
        "ticket",
        f"up == 0 and on ({_INSTALLATION}) bridgetender_build_info",
        15 * MINUTE,
        "One of several replicas is not there: the others do its work",
        Panel.REPLICAS,
    ),
    Alert(
        "MassRefusal",
        "page",
        f"max by ({_BRIDGE}, exchange) (bridgetender_mass_refusal) == 1",
        MINUTE,
        "An exchange refuses most keys at once: our address, clock or proxy",
        Panel.MASS_REFUSAL,
    ),
    Alert(
        "InitSuccessLow",
        "ticket",
        "bridgetender:init_success:ratio < 0.9 and"
        # in a quiet hour a single key that is retried would make it 0
        f" bridgetender:init_attempts:rate * {{={HOUR:g}}} > 20",
        10 * MINUTE,
        "Many attempts to initialize connectors fail, and not for their owners' fault",
        Panel.INIT_SUCCESS,
    ),
    Alert(
        "KeysParked",
        "ticket",
        f"sum by ({_BRIDGE}, reason)"
        f' (bridgetender_connectors_reason{{reason=~"{_SOMEBODYS}"}}) > 0',
        10 * MINUTE,
        "Keys wait for somebody: their owners, or us, have something to mend",
        Panel.NOT_LIVE,
    ),
    Alert(
        "DecryptFailures",
        "ticket",
        # the counter forgets with its process, and what is parked stays so without an attempt
        f"sum by ({_INSTALLATION})"
        f" (increase(bridgetender_decrypt_failures_total[{{{HOUR:g}}}])) > 0"
        f" or sum by ({_INSTALLATION})"
        ' (bridgetender_connectors_reason{reason="undecryptable"}) > 0',
        0,
        "Stored keys cannot be read with this ENCRYPTION_KEY",
        Panel.UNREADABLE,
    ),
    Alert(
        "ConnectorsUnremovable",
        "ticket",
        f"max by ({_BRIDGE}) (bridgetender_orphans) > 0"
        f" or max by ({_INSTALLATION}) (bridgetender_dropped_connectors) > 0",
        15 * MINUTE,
        "Unwanted connectors trade on: the bridge does not remove them, or is named no more",
        Panel.LEFTOVERS,
    ),
    Alert(
        "WebhookFailing",
        "ticket",
        f"max by ({_BRIDGE}) (bridgetender_webhook_waiting_seconds) > {{={15 * MINUTE:g}}}",
        5 * MINUTE,
        "Owners are not told of their keys: a message has not been taken for 15 minutes",
        Panel.WEBHOOK,
    ),
    Alert(
        "NullUpdatedAt",
        "ticket",
        f"max by ({_INSTALLATION}) (bridgetender_null_updated_at_rows) > 0",
        10 * MINUTE,
        "Stored keys have no updated_at: the story's fault is back",
        Panel.UNREADABLE,
    ),
    Alert(
        "CertificateExpires",
        "ticket",
        f"min by ({_INSTALLATION}) (bridge_certificate_expiry_timestamp_seconds) - time()"
        f" < {{={7 * DAY:g}}}",
        HOUR,
        "The bridge's certificate ends within a week, and with it the way to the bridge",
        Panel.BRIDGE_UP,
    ),
)
