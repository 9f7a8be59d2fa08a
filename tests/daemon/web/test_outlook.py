"""What the console says first, and its charts: decided from how things stand."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from daemon.store.pauses import Pause
from daemon.store.status import BridgeStatus
from daemon.store.trends import Hour, last_day
from daemon.web.console import chart
from daemon.web.console.outlook import outlook
from daemon.web.roster import Snapshot
from reconciler.model import BridgeName
from tests.daemon.web.test_connectors import NOON, key

pytestmark = pytest.mark.anyio
UP = BridgeStatus(BridgeName("main"), True, "", NOON - timedelta(hours=1), "vm:1:a")  # noqa: FBT003
DOWN = replace(UP, up=False, reason="connection refused", since=NOON - timedelta(minutes=5))
REFUSED = key(2, phase="parked", reason="refused")


def test_all_is_well_only_if_every_active_key_is_live() -> None:
    found = outlook(Snapshot("1", NOON, [key(1), key(2, phase="inactive")], [UP]))
    assert (found.level, found.words) == ("well", "All is well: all 1 active keys are live.")
    assert not found.troubles


def test_what_needs_somebody_is_named_first_with_why_and_what_to_do() -> None:
    keys = [key(1), REFUSED, key(3, phase="pending", reason="new")]
    found = outlook(Snapshot("1", NOON, keys, [UP]))
    assert (found.level, found.words) == (
        "wrong",
        "Something needs you: 1 of 3 active keys are live.",
    )
    first, second = found.troubles
    assert first.words == "1 key is parked: the exchange refuses these credentials"
    assert first.todo.startswith("compare key, secret, passphrase")
    assert first.link == "/console/keys?phase=parked&reason=refused"
    assert (second.level, second.words) == ("working", "1 key is on the way: the key is new")


def test_keys_on_their_way_are_nothing_that_needs_somebody() -> None:
    found = outlook(Snapshot("1", NOON, [key(1, phase="retrying", reason="throttled")], [UP]))
    assert found.level == "working"


def test_a_bridge_that_is_down_is_told_once_and_not_for_each_of_its_keys() -> None:
    lost = [key(n, phase="retrying", reason="bridge_unavailable") for n in range(9)]
    found = outlook(Snapshot("1", NOON, lost, [DOWN]))
    (trouble,) = found.troubles
    assert trouble.words == "The bridge main does not answer: connection refused"
    assert trouble.since == DOWN.since
    assert found.level == "wrong"


def test_a_key_is_not_called_live_while_its_bridge_is_away() -> None:
    found = outlook(Snapshot("1", NOON, [key(1), key(2), REFUSED], [DOWN]))
    assert found.words == (
        "Something needs you: 0 of 3 active keys are live. 2 more were, when last seen."
    )


def test_pauses_and_bridges_that_nobody_looks_after_are_told() -> None:
    pause = Pause("all", "", "", "ada", "", NOON)
    alone = replace(UP, holder=None)
    words = [t.words for t in outlook(Snapshot("1", NOON, [key(1)], [alone], [pause])).troubles]
    assert words == [
        "Nobody looks after the bridge main",
        "1 pause is in force: what is held stays as it is",
    ]


def test_a_live_key_whose_proof_failed_is_told() -> None:
    (trouble,) = outlook(Snapshot("1", NOON, [key(1, verified="failed")], [UP])).troubles
    assert trouble.words == "1 key is live, but the last proof of it failed"


def test_charts_show_shares_of_attempts_and_how_long_half_of_the_keys_took() -> None:
    hours = [
        Hour(NOON, 0, 0, None, None),
        Hour(NOON + timedelta(hours=1), 3, 1, 2.0, 8.0),
        Hour(NOON + timedelta(hours=2), 5, 0, 4.0, 4.0),
    ]
    assert [(bar.good, bar.bad) for bar in chart.success(hours)] == [(0, 0), (30, 10), (40, 0)]
    assert [bar.good for bar in chart.convergence(hours)] == [0, 20, 40]
    assert (chart.ratio(hours), chart.typical(hours)) == ("88.9 %", "4.0 s")
    assert (chart.ratio([]), chart.typical([])) == ("no attempts", "none became live")


async def test_time_to_be_live_is_counted_from_the_moment_a_key_was_not(
    engine: AsyncEngine,
) -> None:
    moves = [(None, "retrying", 50), ("retrying", "live", 40), ("live", "pending", 30)]
    moves += [("pending", "retrying", 20), ("retrying", "live", 10)]
    async with transaction(engine) as connection:
        for before, after, ago in moves:
            values = {"before": before, "after": after, "ago": ago}
            await connection.execute(_MOVE, values)
    found = [hour for hour in await last_day(engine) if hour.median is not None]
    assert len(await last_day(engine)) == 24
    assert max(hour.slowest or 0 for hour in found) == pytest.approx(20, abs=0.01)


_MOVE = text("""
INSERT INTO bridgetender.transitions
  (at, bridge, account, connector, client_id, key_id, from_phase, from_reason, to_phase,
   to_reason, cause, message)
VALUES (now() - make_interval(secs => :ago), 'main', 'acme', 'binance', gen_random_uuid(),
  '00000000-0000-0000-0000-000000000001', :before, 'new', :after, 'applied', 'new', '')
""")
