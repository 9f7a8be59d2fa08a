"""The dashboard's panels by number: alerts point at them, so a number is never used again."""

from enum import IntEnum, unique

DASHBOARD = "bridgetender"
"""The dashboard's uid, in its address and in each alert."""


@unique
class Panel(IntEnum):
    """What is measured."""

    LIVE_SHARE = 1
    KEYS = 2
    BRIDGES_UP = 3
    BURN = 4
    INIT_SUCCESS = 5
    ATTEMPTS = 6
    PHASES = 7
    NOT_LIVE = 8
    CONVERGENCE = 9
    OLDEST_UNREADY = 10
    BRIDGE_UP = 11
    BRIDGE_LATENCY = 12
    BREAKER = 13
    MASS_REFUSAL = 14
    INIT_DURATION = 15
    QUEUE = 16
    PASSES = 17
    LAST_PASS = 18
    HOLDERS = 19
    LEFTOVERS = 20
    DATABASE = 21
    UNREADABLE = 22
    REPLICAS = 23
    OWN_BRIDGE_CONNECTORS = 24
    OWN_BRIDGE_OUTCOMES = 25
    OWN_BRIDGE_LATENCY = 26
    OWN_BRIDGE_WAITS = 27
    OWN_BRIDGE_LAG = 28
    WEBHOOK = 29


@unique
class Section(IntEnum):
    """What the runbook says, by its headings, which are the alerts' names but for the first."""

    Commands = 100
    KeysNotLive = 101
    BridgeDown = 102
    OldestUnready = 103
    NoSuccessfulPass = 104
    BridgeWithoutHolder = 105
    DaemonAbsent = 106
    MassRefusal = 107
    InitSuccessLow = 108
    KeysParked = 109
    DecryptFailures = 110
    ConnectorsUnremovable = 111
    WebhookFailing = 112
    NullUpdatedAt = 113
    ReplicaAbsent = 114
    CertificateExpires = 115
