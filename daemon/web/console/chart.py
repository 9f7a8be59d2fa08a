"""Small charts as SVG's numbers: a bar for each hour. Pure; the template draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.store.trends import Hour

HEIGHT = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """*good* and *bad* are heights; *title* is what it says to who points at it."""

    x: int
    good: float
    bad: float
    title: str


def success(hours: Sequence[Hour]) -> list[Bar]:
    """Return each hour's attempts by how they ended, as shares of the whole height."""
    bars = []
    for place, hour in enumerate(hours):
        tries = hour.done + hour.failed
        good = HEIGHT * hour.done / tries if tries else 0.0
        said = f"{hour.at:%H:%M} UTC: {hour.done} of {tries} attempts succeeded"
        bars.append(Bar(place * 10, round(good, 1), round(HEIGHT - good if tries else 0, 1), said))
    return bars


def convergence(hours: Sequence[Hour]) -> list[Bar]:
    """Return each hour's median time to be live, beside the slowest of all hours."""
    longest = max((hour.median or 0.0 for hour in hours), default=0.0) or 1.0
    bars = []
    for place, hour in enumerate(hours):
        told = "none became live"
        if hour.median is not None:
            told = f"live after {hour.median:.1f} s, half of them; at most {hour.slowest:.1f} s"
        high = HEIGHT * (hour.median or 0.0) / longest
        least = 1.0 if hour.median is not None else 0.0
        bars.append(
            Bar(place * 10, round(max(high, least), 1), 0.0, f"{hour.at:%H:%M} UTC: {told}")
        )
    return bars


def marks(hours: Sequence[Hour]) -> list[str]:
    """Return what to write below a chart: every sixth hour."""
    return [f"{hour.at:%H:%M} UTC" for hour in hours[::6]]


def ratio(hours: Sequence[Hour]) -> str:
    done, failed = sum(hour.done for hour in hours), sum(hour.failed for hour in hours)
    return f"{100 * done / (done + failed):.1f} %" if done + failed else "no attempts"


def typical(hours: Sequence[Hour]) -> str:
    found = sorted(hour.median for hour in hours if hour.median is not None)
    return f"{found[len(found) // 2]:.1f} s" if found else "none became live"
