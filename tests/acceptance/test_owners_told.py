"""A real daemon tells a real receiver of a key that its exchange refuses, and of its recovery."""

import pytest

from tests.acceptance.firm import Firm, Site, issue
from tests.daemon.receiver import receiving

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
SECRET = "a-secret-of-some-length-for-signing"


async def test_the_owner_of_a_refused_key_hears_of_it_and_of_its_recovery(
    site: Site, firm: Firm
) -> None:
    firm.secrets.add(SECRET)
    with receiving() as receiver:
        (site.directory / "webhook-secret").write_text(f"{SECRET}\n")
        site.settings |= {
            "BRIDGETENDER_WEBHOOK_URL": receiver.url,
            "BRIDGETENDER_WEBHOOK_SECRET_FILE": str(site.directory / "webhook-secret"),
            "BRIDGETENDER_WEBHOOK_PAUSE_SECONDS": "0",
        }
        await site.start_paper()
        await site.start_bridge()
        await site.start_daemon()
        issued = issue()
        key = await firm.add_key(await firm.add_client("Acme"), issued=issued)

        async def told(*types: str) -> bool:
            return receiver.types == list(types)

        await firm.until(lambda: told("key.parked"))
        await site.stop("daemon")
        await firm.issue_on_paper("binance", issued, USDT="1000")
        await firm.people.wish(key_id=key)
        await site.start_daemon()
        await firm.until(lambda: told("key.parked", "key.recovered"))
    for message in receiver.got:
        assert message.is_signed_with(SECRET.encode())
        assert message.content["data"]["key_id"] == str(key)
        assert not any(secret.encode() in message.said for secret in firm.secrets)
