"""Kinds of days: how many of what there are, what happens, and how often. A seed picks one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

from reconciler.rules import Rules
from tests.reconciler.house import CALM, DAY
from tests.simulation.network import Odds

MINUTE = 60.0
BRISK = Rules(
    resync=timedelta(minutes=2),
    pulse=timedelta(minutes=2),
    lease=timedelta(minutes=3),
    renew=timedelta(minutes=1),
    courtesy=timedelta(minutes=1),
    concurrency=4,
    verify_every=timedelta(minutes=10),
    recheck_refused=timedelta(minutes=25),
)
"""As the defaults in all but pace, so that an hour costs little."""
DEFAULT = replace(Rules(), recheck_refused=timedelta(minutes=5))
"""A false refusal is over sooner; else it would be half a day of looking around each second."""

PEOPLE = {
    "add_key": 8,
    "rotate": 6,
    "disable": 2,
    "enable": 2,
    "delete_key": 3,
    "reencrypt": 2,
    "break_key": 1,
    "wish": 3,
    "rename": 2,
    "change_status": 3,
    "delete_client": 1,
    "pause": 2,
    "resume": 3,
}
_BRIDGES = {
    "bridge_restarts": 3,
    "bridge_goes_down": 2,
    "bridge_forgets": 2,
    "bridge_lies": 2,
    "short_listing": 2,
    "throttled": 3,
    "refused_once": 2,
    "exchange_away": 3,
    "unclear": 3,
}
_STORE = {"store_goes_away": 2}
_REPLICAS = {"crash": 3, "freeze": 3, "stop": 2}
_CLOCKS = {"clock_jumps": 20}
_HARSH = Odds(0.04, 0.03, 0.03, 0.03, 0.03, 0.02, 0.03)
_ROUGH = Odds(0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01)
_STORE_ROUGH = Odds(slow=0.02, lost=0.01, answer_lost=0.01, late=0.01)


@dataclass(frozen=True, slots=True)
class Profile:
    """*weight*: how often a seed picks it. Times are in seconds; *gap* is the mean between events.

    *keys* are there from the start, of as many clients as a third of them.
    """

    name: str
    weight: int
    events: Mapping[str, int] = field(default_factory=dict)
    to_bridges: Odds | None = None
    to_store: Odds | None = None
    rules: Rules = BRISK
    replicas: int = 1
    bridges: int = 1
    keys: int = 5
    storm: float = 30 * MINUTE
    gap: float = MINUTE
    quiet: float = 30 * MINUTE
    trouble: bool = False
    """One key is wrong, one exchange throttles, one is away and one is unclear, all the time."""


PROFILES = (
    Profile("calm", 10, PEOPLE),
    Profile("default rules", 5, PEOPLE | _BRIDGES, _ROUGH, None, DEFAULT, 1, 1, 4, 480, 20, 600),
    Profile(
        *("stormy", 25, PEOPLE | _BRIDGES | _STORE | _REPLICAS, _HARSH, _STORE_ROUGH),
        replicas=2,
    ),
    Profile("a sick bridge", 15, PEOPLE | _BRIDGES, _HARSH),
    Profile("a sick database", 10, PEOPLE | _STORE, None, Odds(0.06, 0.04, 0.04, late=0.04)),
    Profile(
        *("burst after restart", 8, {"bridge_restarts": 3, "throttled": 2, "bridge_goes_down": 1}),
        to_bridges=_ROUGH,
        keys=16,
        gap=4 * MINUTE,
    ),
    Profile(
        *("replicas fighting", 17, PEOPLE | {"freeze": 12, "crash": 6, "stop": 6, "move": 4}),
        *(_ROUGH, _STORE_ROUGH),
        replicas=3,
        bridges=2,
        gap=40.0,
    ),
    Profile(
        *("jumping clocks", 5, PEOPLE | _BRIDGES | _CLOCKS | {"crash": 2, "freeze": 2}),
        replicas=2,
    ),
    Profile(
        *("late requests", 6, {"add_key": 4, "delete_key": 6, "rotate": 2}, Odds(late=0.25)),
        gap=20.0,
    ),
    Profile(
        *("frozen holders", 6, {"add_key": 8, "rotate": 8, "freeze": 20}, Odds(slow=0.3)),
        replicas=2,
        gap=10.0,
        keys=8,
    ),
    Profile("a day of trouble", 3, rules=CALM, keys=2, storm=DAY, gap=DAY, trouble=True),
)


def pick(chance: Random) -> Profile:
    return chance.choices(PROFILES, [each.weight for each in PROFILES])[0]
