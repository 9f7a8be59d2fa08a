"""Whoever owns a key hears when it is parked and when it is well again, and not more than that."""

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon import herald, webhook
from daemon.herald import Herald
from daemon.metrics import Metrics
from daemon.webhook import Webhook
from reconciler.model import ClientId, KeyId, Lease, Phase, Reason, Record, Secret, Slot
from tests.contracts.postgres import PostgresWorld
from tests.daemon.bridges.certificates import Authority
from tests.daemon.house import House
from tests.daemon.receiver import Receiver, receiving
from tests.fakes import BRIDGE, START, HandClock

pytestmark = pytest.mark.anyio
KEY = "a secret of some length for signing"
SECOND, MINUTES = timedelta(seconds=1), timedelta(minutes=1)
LIVE, PARKED = (Phase.LIVE, Reason.APPLIED), (Phase.PARKED, Reason.REFUSED)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


class Scene:
    """One key, a bridge that is held, and a herald."""

    def __init__(self, engine: AsyncEngine, receiver: Receiver) -> None:
        self.house = House(engine)
        self.engine = engine
        self.clock = HandClock()
        self.metrics = Metrics()
        self.webhook = Webhook(Secret(receiver.url), Secret(KEY), console="https://firm.example")
        self.herald = self.new_herald()
        self.waiting = 0.0
        self.client: ClientId
        self.key: KeyId
        self.keys: dict[str, KeyId] = {}
        self.lease: Lease

    def new_herald(self) -> Herald:
        """Return one of another process, which knows nothing but the database."""
        return Herald(self.engine, self.metrics, self.clock, lambda: 0.5)

    async def begin(self) -> None:
        self.client = await self.house.world.add_client("Acme")
        self.key = await self.house.world.add_key(self.client, "binance", api_key="key-in-clear")
        self.keys["binance"] = self.key
        lease = await self.house.store.leases.acquire(BRIDGE)
        assert lease is not None
        self.lease = lease
        await self.house.do(
            f"INSERT INTO bridgetender.accounts VALUES ('main', 'client_acme', '{self.client}')"
        )

    async def stands(self, phase: Phase, reason: Reason, *others: str) -> None:
        """Let the key, and those on *others*, come to stand like that; the herald has its turn."""
        for exchange in others:
            self.keys[exchange] = await self.house.world.add_key(self.client, exchange)
        records = [self.record(exchange, phase, reason) for exchange in ("binance", *others)]
        await self.house.store.ledger.plan(self.lease, records)
        await self.turn()

    def record(self, exchange: str, phase: Phase, reason: Reason) -> Record:
        return Record(
            slot=Slot(BRIDGE, "client_acme", exchange),
            key_id=self.keys[exchange],
            client_id=self.client,
            exchange=exchange,
            digest="",
            phase=phase,
            reason=reason,
            message="HTTP 401: words of an exchange",
            due_at=START,
            due_set_at=START,
        )

    async def turn(self, after: timedelta = timedelta(0)) -> None:
        self.clock.at += after
        self.waiting = (await self.herald.round(self.webhook, [BRIDGE]))[BRIDGE]

    def sent(self, result: str) -> float | None:
        name = "bridgetender_webhook_messages_total"
        return self.metrics.registry.get_sample_value(name, {"result": result})


@pytest.fixture
async def scene(engine: AsyncEngine, receiver: Receiver) -> Scene:
    scene = Scene(engine, receiver)
    await scene.begin()
    return scene


async def test_the_owner_hears_that_a_key_is_parked_and_that_it_is_well_again(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.stands(*LIVE)
    assert receiver.got == []
    await scene.stands(*PARKED)
    await scene.turn()
    (message,) = receiver.got
    assert message.is_signed_with(KEY.encode())
    assert message.headers["webhook-timestamp"] == str(round(START.timestamp()))
    assert message.content == {
        "type": "key.parked",
        "timestamp": START.isoformat(),
        "data": {
            "client_id": str(scene.client),
            "key_id": str(scene.key),
            "exchange": "binance",
            "bridge": "main",
            "phase": "parked",
            "reason": "refused",
            "words": "the exchange refuses these credentials",
            "console": f"https://firm.example/console/keys/{scene.key}",
        },
    }

    await scene.turn(10 * MINUTES)
    await scene.stands(Phase.PENDING, Reason.CHANGED)
    await scene.stands(*LIVE)
    assert receiver.types == ["key.parked", "key.recovered"]
    assert receiver.got[1].content["data"]["phase"] == "live"
    assert receiver.got[1].id != message.id
    assert scene.sent("ok") == 2


@pytest.mark.parametrize(
    "standing", [(Phase.PARKED, Reason.PAUSED), (Phase.RETRYING, Reason.UNCLEAR)], ids=str
)
async def test_what_people_did_and_what_passes_by_itself_is_no_news(
    scene: Scene, receiver: Receiver, standing: tuple[Phase, Reason]
) -> None:
    await scene.stands(*standing)
    assert receiver.got == []


async def test_a_key_that_flaps_is_told_of_once_in_a_while_and_the_last_state_wins(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.stands(*PARKED)
    for _ in range(5):
        await scene.stands(*LIVE)
        await scene.stands(*PARKED)
    await scene.turn(10 * MINUTES)
    assert receiver.types == ["key.parked"], "it is parked, as was told"
    await scene.stands(*LIVE)
    assert receiver.types == ["key.parked", "key.recovered"]


async def test_a_message_that_did_not_arrive_is_sent_again_under_its_id_after_a_restart_too(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.status = 500
    await scene.stands(*PARKED)
    await scene.turn()
    assert len(receiver.got) == 1, "its next turn is after a while"
    scene.herald = scene.new_herald()
    await scene.turn(MINUTES)
    assert scene.waiting == 60
    receiver.status = 200
    await scene.turn(MINUTES)
    await scene.turn(MINUTES)
    assert receiver.types == ["key.parked"] * 3
    assert len({message.id for message in receiver.got}) == 1
    assert (scene.sent("failed"), scene.sent("ok"), scene.waiting) == (2, 1, 0)


async def test_who_may_have_heard_that_it_is_parked_hears_that_it_is_well_again(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.status = 500
    await scene.stands(*PARKED)
    receiver.status = 200
    await scene.stands(*LIVE)
    await scene.turn(MINUTES)
    assert receiver.types == ["key.parked", "key.recovered"]
    assert receiver.got[0].id != receiver.got[1].id


async def test_a_dead_receiver_is_asked_ever_more_rarely_whatever_there_is_to_tell(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.status = 503
    await scene.stands(*PARKED, *(f"exchange{number}" for number in range(20)))
    for _ in range(60):
        await scene.turn(timedelta(seconds=1))
    assert len(receiver.got) == 8 + 5, "all at once, then one after 1, 3, 7, 15, 31 seconds"


@pytest.mark.parametrize("status", [422, 500], ids=str)
async def test_a_message_that_is_never_taken_delays_no_other(
    scene: Scene, receiver: Receiver, status: int
) -> None:
    receiver.statuses[str(scene.key)] = status
    await scene.stands(*PARKED)
    for _ in range(60):
        await scene.turn(MINUTES)
    in_an_hour = len(receiver.got)
    assert 10 < in_an_hour < 25, "its own pause grows to five minutes"
    await scene.stands(*PARKED, "kraken")
    await scene.turn(2 * SECOND)
    assert len(receiver.about(scene.keys["kraken"])) == 1
    assert len(receiver.got) <= in_an_hour + 2
    assert scene.waiting > 3600, "it has waited all the time"


async def test_a_receiver_that_asks_for_patience_has_it(scene: Scene, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 429, {"retry-after": "600"}
    await scene.stands(*PARKED)
    await scene.stands(*PARKED, "kraken")
    await scene.turn(599 * SECOND)
    assert len(receiver.got) == 1
    receiver.status = 200
    await scene.turn(SECOND)
    assert len(receiver.got) == 3


async def test_news_after_a_restore_is_no_repetition_of_what_was_told_under_its_number(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.stands(*PARKED)
    await scene.turn(10 * MINUTES)
    await scene.stands(*LIVE)
    await scene.house.do(
        "UPDATE bridgetender.notices SET number = 1, state = 'parked', reason = 'refused',"
        " told_state = 'parked', told_reason = 'refused'"
    )
    await scene.turn(10 * MINUTES)
    assert receiver.types == ["key.parked", "key.recovered", "key.recovered"]
    assert len({message.id for message in receiver.got}) == 3


async def test_what_is_paused_is_told_when_that_ends_if_it_is_still_so(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.status = 500
    await scene.stands(*PARKED)
    world = scene.house.world
    await world.pause("all")
    await world.wish(scene.key)  # as a restore does
    receiver.status = 200
    await scene.stands(*PARKED, "kraken")
    await scene.turn(5 * MINUTES)
    assert (len(receiver.got), scene.waiting) == (1, 0)
    await world.resume("all")
    await scene.turn(5 * MINUTES)
    assert len(receiver.about(scene.key)) == 1, "it is about to be tried again"
    assert len(receiver.about(scene.keys["kraken"])) == 1
    await scene.stands(Phase.PENDING, Reason.REINITIALIZE)  # which grants the wish
    await scene.stands(*LIVE)
    assert receiver.types == ["key.parked", "key.parked", "key.recovered"]


async def test_no_key_of_a_client_that_the_firm_has_paused_is_told_of(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.house.world.set_client_status(scene.client, "PAUSED")
    await scene.stands(*PARKED)
    assert receiver.got == []
    await scene.house.world.set_client_status(scene.client, "ACTIVE")
    await scene.turn(2 * MINUTES)
    assert receiver.types == ["key.parked"]


async def test_that_somebody_else_has_the_same_credentials_is_told(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.stands(Phase.CONFLICT, Reason.CREDENTIALS_TAKEN)
    (message,) = receiver.got
    assert message.type == "key.parked"
    assert message.content["data"]["phase"] == "conflict"
    assert message.content["data"]["words"] == "another client has the same credentials"


async def test_many_messages_go_eight_at_once_over_connections_that_they_share(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.crowd = Barrier(8)
    await scene.stands(*PARKED, *(f"exchange{number}" for number in range(23)))
    assert (len(receiver.got), receiver.connections) == (24, 8)
    assert scene.sent("ok") == 24


async def test_without_a_webhook_nothing_more_is_to_be_told_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald, "BATCH", 1)
    await scene.stands(*PARKED, "okx")
    assert scene.herald.more
    assert await scene.herald.round(None, [BRIDGE]) == {BRIDGE: 0}
    assert not scene.herald.more


async def test_a_parked_key_that_passes_to_another_client_is_told_to_that_one(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.stands(*PARKED)
    other = await scene.house.world.add_client("Other")
    await scene.house.do(f"UPDATE exchange_api_keys SET client_id = '{other}'")
    await scene.house.do(f"UPDATE bridgetender.connectors SET client_id = '{other}'")
    await scene.turn(10 * MINUTES)
    await scene.turn(10 * MINUTES)
    assert receiver.types == ["key.parked", "key.parked"]
    assert receiver.got[1].content["data"]["client_id"] == str(other)


async def test_what_was_not_taken_at_first_does_not_wait_behind_the_others(
    scene: Scene, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald, "BATCH", 2)
    receiver.statuses[str(scene.key)] = 422
    await scene.stands(*PARKED)
    receiver.statuses.clear()
    await scene.stands(*PARKED, *(f"exchange{number}" for number in range(4)))
    await scene.turn(MINUTES)
    assert len(receiver.about(scene.key)) == 2
    assert (len(receiver.got), scene.herald.more) == (1 + 2 + 2, True)
    await scene.turn()
    assert (len(receiver.got), scene.herald.more) == (1 + 5, False)


async def test_a_receiver_of_a_settable_ca_is_believed_and_no_other(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority, tls = Authority(tmp_path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("receiver"))
    with receiving(tls) as receiver:
        scene.webhook = replace(scene.webhook, url=Secret(receiver.url))
        await scene.stands(*PARKED)
        for nobodys in ("gone.pem", Authority(tmp_path, "other").file):
            scene.webhook = replace(scene.webhook, ca_file=tmp_path / nobodys)
            await scene.turn(5 * MINUTES)
        assert (receiver.got, scene.sent("failed")) == ([], 3)
        scene.webhook = replace(scene.webhook, ca_file=authority.file)
        await scene.turn(5 * MINUTES)
        assert receiver.types == ["key.parked"]
    assert (
        capsys.readouterr().out.count("not believed: unable to get local issuer certificate") == 2
    )


async def test_no_redirect_is_followed(scene: Scene, receiver: Receiver) -> None:
    receiver.status = 307  # which asks for the very message to be posted elsewhere
    receiver.headers = {"location": f"{receiver.url}/elsewhere"}
    await scene.stands(*PARKED)
    assert len(receiver.got) == 1
    assert scene.sent("failed") == 1


async def test_where_nobody_listens_nothing_is_lost(scene: Scene, receiver: Receiver) -> None:
    there, scene.webhook = scene.webhook, replace(scene.webhook, url=Secret("http://127.0.0.1:9/"))
    await scene.stands(*PARKED)
    assert scene.sent("failed") == 1
    scene.webhook = there
    await scene.turn(MINUTES)
    assert receiver.types == ["key.parked"]


async def test_a_receiver_that_never_answers_is_not_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = Secret(f"http://127.0.0.1:{mute.getsockname()[1]}/")
        scene.webhook = replace(scene.webhook, url=url)
        await scene.stands(*PARKED)
    assert scene.sent("failed") == 1


async def delete(world: PostgresWorld, key: KeyId) -> None:
    await world.delete_key(key)


async def disable(world: PostgresWorld, key: KeyId) -> None:
    await world.set_key_active(key, active=False)


@pytest.mark.parametrize("leave", [delete, disable])
async def test_a_key_that_is_gone_is_spoken_of_no_more(
    scene: Scene, receiver: Receiver, leave: Callable[[PostgresWorld, KeyId], Awaitable[None]]
) -> None:
    receiver.status = 500
    await scene.stands(*PARKED)
    await leave(scene.house.world, scene.key)
    scene.herald = scene.new_herald()
    await scene.turn(MINUTES)
    assert len(receiver.got) == 1
    assert scene.waiting == 0


async def test_no_word_of_an_exchange_and_no_credential_is_in_a_message(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.stands(*PARKED)
    for words in (b"words of an exchange", b"key-in-clear", KEY.encode()):
        assert words not in receiver.got[0].said
