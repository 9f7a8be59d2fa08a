"""Which of what is due goes first, so that no class and no client starves another. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from reconciler.model import ClientId, Record, Urgency

SHARES = {Urgency.NOW: 8, Urgency.SOON: 4, Urgency.BULK: 3, Urgency.PROOF: 1}
"""Of sixteen places, how many each class gets while all of them wait."""
HEAD_START = {Urgency.NOW: 0, Urgency.SOON: 64, Urgency.BULK: 256, Urgency.PROOF: 512}
"""How many that are prepared later, of the most urgent class, go before one of this class."""


def _spread_out() -> tuple[Urgency, ...]:
    """Return the sixteen places, each class's as far apart as may be."""
    total = sum(SHARES.values())
    places = [((n + 0.5) * total / share, u) for u, share in SHARES.items() for n in range(share)]
    return tuple(urgency for _, urgency in sorted(places))


PLACES = _spread_out()
TURNS = len(PLACES)


class Turns:
    """Whose turn it is; it goes on where the last choice ended."""

    def __init__(self) -> None:
        self._places = count()

    def choose(
        self, due: Iterable[Record], room: int, most: Callable[[str, Urgency], int]
    ) -> list[Record]:
        """Return up to *room* of what is *due*, up to *most* of an exchange and class.

        *most* speaks of the exchange with what was chosen of it in other classes taken off.
        """
        waiting = _by_class(due)
        chosen: list[Record] = []
        taken: dict[str, int] = {}
        while len(chosen) < room and any(waiting.values()):
            record = self._next(waiting)
            exchange, urgency = record.exchange, record.urgency
            if taken.get(exchange, 0) < most(exchange, urgency):
                taken[exchange] = taken.get(exchange, 0) + 1
                chosen.append(record)
        return chosen

    def _next(self, waiting: dict[Urgency, deque[Record]]) -> Record:
        turn = PLACES[next(self._places) % TURNS]
        queue = waiting.get(turn) or next(q for _, q in sorted(waiting.items()) if q)
        return queue.popleft()


def _by_class(due: Iterable[Record]) -> dict[Urgency, deque[Record]]:
    found: dict[Urgency, list[Record]] = {}
    for record in due:
        found.setdefault(record.urgency, []).append(record)
    return {urgency: deque(_round_robin(records)) for urgency, records in found.items()}


def _round_robin(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the first of each client, then the second of each, ..."""
    rounds: dict[int, list[Record]] = {}
    seen: dict[ClientId, int] = {}
    for record in records:
        number = seen[record.client_id] = seen.get(record.client_id, 0) + 1
        rounds.setdefault(number, []).append(record)
    for number in sorted(rounds):
        yield from rounds[number]
