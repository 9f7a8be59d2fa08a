"""One message to the owner's webhook: what it says, how it is signed, how it is sent.

Signed as standardwebhooks.com says: `webhook-signature` is `v1,` and the base64 of the HMAC-SHA256
of `{webhook-id}.{webhook-timestamp}.{body}`; the key is what follows `whsec_` in the secret, as
base64, or else the secret as it is. The id stays the same however often a message is sent.
"""

import base64
import hashlib
import hmac
import json
import ssl
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self
from uuid import UUID, uuid5

import anyio
import anyio.to_thread
import httpx

from daemon.bridges.access import Access
from daemon.bridges.address import BadBridgeUrl
from daemon.bridges.tls import tls_context
from daemon.bridges.translate import retry_after
from daemon.settings import Settings
from daemon.store.notices import Notice
from daemon.values import signing_key
from daemon.words import sentence
from reconciler.model import Instant, Phase, Reason, Secret

PATIENCE = 10.0
"""Seconds that one delivery may take, whatever the receiver does."""
_MANNERS, _SHORT = 1.0, 65_536
"""Seconds and bytes of an answer, once its status is known."""
_MESSAGES = UUID("5b0c4f9e-6c0f-4d0c-9a35-3f0d0c4a7f21")


_AWAY = {408, 410, 425, 429}
"""Answers of 4xx that speak of the receiver, or of when it was asked, and not of the message."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message did not arrive. *away*: no other would have; *wait* is what was asked for."""

    why: str
    away: bool = True
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where messages go. *pause* is the least time between two about one key."""

    url: Secret
    secret: Secret
    pause: timedelta = timedelta(minutes=10)
    console: str | None = None
    """Where people reach the console: what links begin with."""
    ca_file: Path | None = None


def webhook_of(settings: Settings) -> Webhook | None:
    """Return the webhook of the settings, if they have one."""
    url, secret = settings.webhook_url, settings.webhook_secret
    if url is None or secret is None:
        return None
    return Webhook(
        url, secret, settings.webhook_pause, settings.console_url, settings.webhook_ca_file
    )


def message_id(notice: Notice) -> str:
    """Name what it says: a number comes a second time when a backup is restored."""
    said = (notice.key_id, notice.number, notice.state, notice.reason, notice.since.isoformat())
    return str(uuid5(_MESSAGES, ":".join(map(str, said))))


def phase(notice: Notice) -> Phase:
    if notice.state == "recovered":
        return Phase.LIVE
    return Phase.CONFLICT if notice.reason == Reason.CREDENTIALS_TAKEN else Phase.PARKED


def body(notice: Notice, console: str | None) -> bytes:
    path = f"/console/keys/{notice.key_id}"
    said = {
        "type": f"key.{notice.state}",
        "timestamp": notice.since.isoformat(),
        "data": {
            "client_id": str(notice.client_id),
            "key_id": str(notice.key_id),
            "exchange": notice.exchange,
            "bridge": notice.bridge,
            "phase": phase(notice),
            "reason": notice.reason,
            "words": sentence(notice.reason),
            "console": (console or "").rstrip("/") + path,
        },
    }
    return json.dumps(said).encode()


def signature(secret: Secret, message: str, timestamp: int, said: bytes) -> str:
    signed = b".".join((message.encode(), str(timestamp).encode(), said))
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Sender:
    """Sends messages over connections that they share. To be entered and left."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._open = AsyncExitStack()
        self._client: httpx.AsyncClient
        self._trouble: Failure | None = None

    async def __aenter__(self) -> Self:
        access = Access(ca_file=self._webhook.ca_file)
        try:
            tls = await anyio.to_thread.run_sync(tls_context, access)
        except BadBridgeUrl as error:  # its file was good at the start
            self._trouble = Failure(str(error))
        else:
            self._client = await self._open.enter_async_context(_client(tls))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def send(self, notice: Notice, now: Instant) -> Failure | None:
        """Return why it did not arrive, in words without the address, or None."""
        if self._trouble:
            return self._trouble
        said, message = body(notice, self._webhook.console), message_id(notice)
        timestamp = round(now.timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": "bridgetender",
            "webhook-id": message,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._webhook.secret, message, timestamp, said),
        }
        try:
            with anyio.fail_after(PATIENCE):
                answer = await self._post(said, headers)
        except TimeoutError:
            return Failure(f"no answer within {PATIENCE:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Failure(_why(error))
        return None if answer.is_success else _failure(answer, now)

    async def _post(self, said: bytes, headers: dict[str, str]) -> httpx.Response:
        url = self._webhook.url.reveal()
        async with self._client.stream("POST", url, content=said, headers=headers) as got:
            await _hear_out(got)
            return got


def _client(tls: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=PATIENCE)


async def _hear_out(answer: httpx.Response) -> None:
    """Let a short answer end, so that its connection serves for the next; nobody reads it."""
    with suppress(httpx.HTTPError), anyio.move_on_after(_MANNERS):
        async for _ in answer.aiter_raw():
            if answer.num_bytes_downloaded > _SHORT:
                return


def _why(error: Exception) -> str:
    """Return a name, or what is wrong with a certificate: nothing that holds the address."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, ssl.SSLCertVerificationError):
            wrong = cause.verify_message.partition(",")[0]
            return f"its certificate is not believed: {wrong}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _failure(answer: httpx.Response, now: Instant) -> Failure:
    why = f"HTTP {answer.status_code}"
    if answer.is_client_error and answer.status_code not in _AWAY:
        return Failure(why, away=False)
    return Failure(why, wait=retry_after(answer.headers, now) or timedelta(0))
