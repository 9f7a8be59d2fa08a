"""Draws pacing.svg by running the pacing: `python -m docs.draw_pacing > docs/pacing.svg`."""

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.model import Urgency
from reconciler.paces import Paces
from reconciler.pacing import Breaker, Limit
from reconciler.rules import Rules

SECONDS = 120
WIDTH, HEIGHT, MARGIN = 720, 150, 40
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: what happens in it, and the lines that show it, each over all SECONDS."""

    title: str
    lines: dict[str, Points]

    @property
    def highest(self) -> float:
        return max(y for points in self.lines.values() for _, y in points) or 1.0


def concurrency() -> Panel:
    """A bridge bears 40 calls at once, from 40 to 70 s only 10: what is more fails."""
    limit, shown, bears = Limit(1, 64, 8), [], []
    for tick in range(SECONDS * 2):  # a call takes half a second
        now, under_way = tick / 2, limit.now
        capacity = 10 if 40 <= now < 70 else 40
        for call in range(under_way):
            if call < capacity:
                limit.went_well(under_way)
            else:
                limit.went_badly(now, now + 0.5, under_way)
        shown.append((now, float(under_way)))
        bears.append((now, float(capacity)))
    title = "Attempts at once, while the bridge bears 40, and from 40 to 70 s only 10"
    return Panel(title, {"limit": shown, "what it bears": bears})


def rate() -> Panel:
    """Retries and proofs without end; at 30 s the exchange asks for 15 s of quiet."""
    pace = Paces(Rules()).of("okx")
    counts: dict[Urgency, list[int]] = {u: [0] * SECONDS for u in (Urgency.SOON, Urgency.PROOF)}
    for tick in range(SECONDS * 20):
        now = tick / 20
        if now == 30:
            pace.throttled(15, now, lambda: 0.5)
        for urgency, count in counts.items():
            while pace.room(urgency, now) > 0:
                pace.prepared += 1
                pace.begin(urgency, now)
                pace.under_way -= 1
                pace.went_well()
                count[int(now)] += 1
    lines = {u.name.lower(): list(enumerate(map(float, count))) for u, count in counts.items()}
    title = "Attempts a second on one exchange; at 30 s it says: too fast, come back in 15 s"
    return Panel(title, lines)


def probes() -> Panel:
    """A bridge is away from 10 to 80 s; each probe is a listing."""
    breaker = Breaker(Rules().probe, 5)
    breaker.probed(well=True)
    times, now = [], 10.0
    while now < 80:
        breaker.probed(well=False)
        times.append(now)
        now += breaker.next_probe(lambda: 0.5).total_seconds()
    spikes = [(x, y) for at in [*times, now] for x, y in ((at, 0.0), (at, 1.0), (at, 0.0))]
    title = "Probes of a bridge that is away from 10 to 80 s: one at a time, ever more rarely"
    return Panel(title, {"probe": [(0.0, 0.0), *spikes, (float(SECONDS), 0.0)]})


def picture() -> str:
    """Return the SVG of all panels, one below the other."""
    panels = [concurrency(), rate(), probes()]
    drawn = [_drawn(panel, number * (HEIGHT + 2 * MARGIN)) for number, panel in enumerate(panels)]
    height = len(panels) * (HEIGHT + 2 * MARGIN)
    size = f'width="{WIDTH + 2 * MARGIN}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    back = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, back, *drawn, "</svg>"]) + "\n"


_COLOURS = ("#1f6feb", "#d29922")


def _drawn(panel: Panel, top: int) -> str:
    base = top + MARGIN + HEIGHT
    parts = [
        f'<text x="{MARGIN}" y="{top + 24}" font-size="14">{panel.title}</text>',
        f'<text x="4" y="{top + MARGIN + 10}" font-size="11">{panel.highest:g}</text>',
        f'<path d="M{MARGIN} {top + MARGIN}V{base}H{MARGIN + WIDTH}" fill="none" stroke="#888"/>',
    ]
    for second in range(0, SECONDS + 1, 20):
        x = MARGIN + second * WIDTH // SECONDS
        parts.append(f'<text x="{x}" y="{base + 14}" font-size="11">{second} s</text>')
    for number, (name, points) in enumerate(panel.lines.items()):
        colour, x = _COLOURS[number], MARGIN + WIDTH - 110
        path = " ".join(_point(panel, base, *point) for point in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        label = f'<text x="{x}" y="{top + MARGIN + 14 * number}" font-size="11" fill="{colour}">'
        parts.append(f"{label}{name}</text>")
    return "\n".join(parts)


def _point(panel: Panel, base: int, x: float, y: float) -> str:
    return f"{MARGIN + x * WIDTH / SECONDS:.1f},{base - y * HEIGHT / panel.highest:.1f}"


if __name__ == "__main__":
    print(picture(), end="")  # noqa: T201
