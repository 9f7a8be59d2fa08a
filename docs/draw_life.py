"""Draws phases.svg from the table in the code: `python -m docs.draw_life > docs/phases.svg`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import hypot

from reconciler.model import Phase
from reconciler.phases import TRANSITIONS, Event

WIDTH, HEIGHT = 900, 640
BOX = (104, 30)
PLACES: Mapping[Phase, tuple[float, float]] = {
    Phase.PENDING: (90, 245),
    Phase.INITIALIZING: (440, 220),
    Phase.LIVE: (790, 222),
    Phase.RETRYING: (265, 60),
    Phase.CONFLICT: (265, 400),
    Phase.PARKED: (640, 400),
    Phase.REMOVING: (90, 510),
    Phase.UNREMOVABLE: (440, 600),
    Phase.REMOVED: (790, 510),
}
"""Where each phase stands; everything else is in the table."""
Point = tuple[float, float]
STYLE = (
    "text{font:11px sans-serif;text-anchor:middle;fill:#222;stroke:#fff;stroke-width:4px;"
    "paint-order:stroke}rect{fill:#e8f0fb;stroke:#1f66c1}.box{font-weight:bold;stroke:none}"
    "path{fill:none;stroke:#888}.any{font-style:italic}"
)


def picture() -> str:
    """Return every arrow that leads to another phase, with the events that take it."""
    everywhere = dict(from_everywhere())
    arrows = [
        _arrow(before, after, ", ".join(events))
        for (before, after), events in _moves(everywhere).items()
    ]
    stubs = [_stub(phase, events) for phase, events in _by_target(everywhere).items()]
    boxes = [_box(phase) for phase in PLACES]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">\n'
        f"<style>{STYLE}</style>\n"
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
        ' orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#888;stroke:none"/></marker>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" style="fill:#fff;stroke:none"/>\n'
    )
    return head + "\n".join((*arrows, *stubs, *boxes)) + "\n</svg>\n"


def from_everywhere() -> Iterator[tuple[Event, Phase]]:
    """Yield the events that lead to one phase, from every other that is not the end."""
    for event in Event:
        targets = {moves.get(event) for phase, moves in TRANSITIONS.items() if moves}
        if len(targets) == 1 and (target := targets.pop()):
            yield event, target


def _moves(everywhere: Mapping[Event, Phase]) -> dict[tuple[Phase, Phase], list[Event]]:
    found = defaultdict(list)
    for before, moves in TRANSITIONS.items():
        for event, after in moves.items():
            if after is not before and event not in everywhere:
                found[before, after].append(event)
    return found


def _by_target(everywhere: Mapping[Event, Phase]) -> dict[Phase, list[Event]]:
    found = defaultdict(list)
    for event, phase in everywhere.items():
        found[phase].append(event)
    return found


def _arrow(before: Phase, after: Phase, words: str) -> str:
    """Draw a curve that leaves the straight line to its left, and others their places."""
    (x1, y1), (x2, y2) = PLACES[before], PLACES[after]
    length = hypot(x2 - x1, y2 - y1)
    across = (y2 - y1) / length, (x1 - x2) / length
    others = [place for phase, place in PLACES.items() if phase not in (before, after)]
    bend = 190 if any(_is_between((x1, y1), (x2, y2), each) for each in others) else 34
    bent = (x1 + x2) / 2 + across[0] * bend, (y1 + y2) / 2 + across[1] * bend
    start, end = _edge(PLACES[before], bent), _edge(PLACES[after], bent)
    label = [(9 * a + 12 * b + 4 * c) / 25 for a, b, c in zip(start, bent, end, strict=True)]
    path = f"M{_at(start)} Q{_at(bent)} {_at(end)}"
    return f'<path d="{path}" marker-end="url(#tip)"/>{_text(label, words)}'


def _is_between(start: Point, end: Point, point: Point) -> bool:
    """Tell whether a straight line from *start* to *end* would meet the box at *point*."""
    (x1, y1), (x2, y2), (x, y) = start, end, point
    share = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / hypot(x2 - x1, y2 - y1) ** 2
    near = x1 + share * (x2 - x1) - x, y1 + share * (y2 - y1) - y
    return 0 < share < 1 and abs(near[0]) < BOX[0] / 2 and abs(near[1]) < BOX[1]


def _edge(place: Point, towards: Point) -> Point:
    """Return where the line from the middle of a box leaves it."""
    dx, dy = towards[0] - place[0], towards[1] - place[1]
    share = min(BOX[0] / 2 / (abs(dx) or 1e-9), BOX[1] / 2 / (abs(dy) or 1e-9))
    return place[0] + dx * share, place[1] + dy * share


def _stub(phase: Phase, events: Iterable[Event]) -> str:
    """Draw a short arrow for what leads here from everywhere."""
    x, y = PLACES[phase]
    top = y + BOX[1] / 2 + 34
    words = _text((x, top + 11), f"any: {', '.join(events)}", "any")
    return f'<path d="M{_at((x, top))} L{_at((x, y + BOX[1] / 2))}" marker-end="url(#tip)"/>{words}'


def _box(phase: Phase) -> str:
    x, y = PLACES[phase]
    corner = f'x="{x - BOX[0] / 2:g}" y="{y - BOX[1] / 2:g}" width="{BOX[0]}" height="{BOX[1]}"'
    return f'<rect {corner} rx="6"/>{_text((x, y + 4), phase, "box")}'


def _text(place: Iterable[float], words: str, kind: str = "") -> str:
    x, y = place
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{named}>{words}</text>'


def _at(point: Point) -> str:
    return f"{point[0]:.0f} {point[1]:.0f}"


if __name__ == "__main__":
    print(picture(), end="")  # noqa: T201
