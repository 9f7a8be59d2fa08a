"""Which bridge a key belongs to: by its client, else by its exchange, else the default. Pure.

`daemon.store` says the same in SQL; one test holds the two against each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.model import BridgeName, ClientId
from reconciler.slots import canonical

MAIN = BridgeName("main")
"""The one bridge where none is named."""


@dataclass(frozen=True, slots=True)
class Routes:
    """*clients* are known by id or name, in lower case; *exchanges* by canonical name."""

    default: BridgeName
    clients: Mapping[str, BridgeName] = field(default_factory=dict)
    exchanges: Mapping[str, BridgeName] = field(default_factory=dict)

    def bridge_of(self, client: ClientId, name: str, exchange: str) -> BridgeName:
        return (
            self.clients.get(str(client))
            or self.clients.get(name.strip().lower())
            or self.exchanges.get(canonical(exchange))
            or self.default
        )

    def rows(self) -> Iterator[tuple[str, str, BridgeName]]:
        """Yield (kind, subject, bridge) of every rule; the default has no subject."""
        yield "default", "", self.default
        yield from (("client", subject, bridge) for subject, bridge in self.clients.items())
        yield from (("exchange", subject, bridge) for subject, bridge in self.exchanges.items())
