"""TLS and credentials towards a bridge, over real TLS."""

import asyncio
import base64
import gc
import os
import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.bridges.access import Access
from daemon.bridges.address import BadBridgeUrl
from daemon.bridges.line import open_line
from daemon.bridges.tls import tls_context
from daemon.bridges.trading import open_bridge
from reconciler.model import Secret
from reconciler.verdicts import Unavailable, Unclear
from tests.daemon.bridges.certificates import Authority
from tests.daemon.bridges.conftest import BRIDGE, QUICK, SLOT, StoppedClock, credentials
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import Asked, Reply, Said, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server(authority: Authority, *, wants_a_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("bridge"))
    if wants_a_client:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def observe(url: str, access: Access | None = None) -> None:
    async with open_bridge(BRIDGE, url, StoppedClock(), access=access, patience=QUICK) as bridge:
        await bridge.observe()


async def test_a_bridge_of_a_settable_ca_is_believed(
    authority: Authority, story: StoryBridge
) -> None:
    async with serving(story, tls=server(authority)) as url:
        await observe(url, Access(ca_file=authority.file))
    assert story.heard


async def test_a_bridge_of_an_unknown_ca_is_sent_nothing_and_the_cure_is_said(
    authority: Authority, story: StoryBridge, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    async with serving(story, tls=server(authority)) as url:
        for access in (None, Access(ca_file=other.file)):
            with pytest.raises(Unavailable, match=r"not trusted .* set ca_file to the CA"):
                await observe(url, access)
    assert story.heard == []


async def test_another_name_has_a_cure_of_its_own(authority: Authority, story: StoryBridge) -> None:
    access = Access(ca_file=authority.file)
    async with serving(story, tls=server(authority)) as url:
        with pytest.raises(Unavailable, match="use a name in its URL that the certificate is for"):
            await observe(url.replace("127.0.0.1", "localhost"), access)
    assert story.heard == []


async def test_a_server_without_tls_is_told_from_one_that_is_not_trusted() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable, match="does not speak TLS there: check http or https"):
        await observe(f"https://127.0.0.1:{port}")
    server.close()


async def test_a_bridge_may_ask_for_a_client_certificate(
    authority: Authority, story: StoryBridge
) -> None:
    cert_file, key_file = authority.issue("daemon")
    known = Access(ca_file=authority.file, cert_file=cert_file, key_file=key_file)
    async with serving(story, tls=server(authority, wants_a_client=True)) as url:
        await observe(url, known)
        heard = len(story.heard)
        with pytest.raises((Unavailable, Unclear)):
            await observe(url, Access(ca_file=authority.file))
    assert heard == len(story.heard)


def each_time_anew(_: Asked) -> Said:
    return Reply(200, b"{}", {"Connection": "close"})


async def test_a_renewed_ca_is_believed_without_a_restart_and_the_old_one_no_more(
    authority: Authority, tmp_path: Path
) -> None:
    renewed, mounted, shown = Authority(tmp_path, "renewed"), tmp_path / "ca", server(authority)
    mounted.write_bytes(authority.file.read_bytes())
    async with (
        serving(each_time_anew, tls=shown) as url,
        open_line(url, access=Access(ca_file=mounted)) as line,
    ):
        await line.ask("GET", "", seconds=5)
        mounted.write_bytes(renewed.file.read_bytes())
        with pytest.raises(Unavailable, match="not trusted"):
            await line.ask("GET", "", seconds=5)
        shown.load_cert_chain(*renewed.issue("bridge"))
        await line.ask("GET", "", seconds=5)


async def test_files_that_are_half_written_leave_the_last_ones_and_are_told_once(
    authority: Authority, tmp_path: Path
) -> None:
    mounted = tmp_path / "ca"
    mounted.write_bytes(authority.file.read_bytes())
    access = Access(ca_file=mounted)
    async with (
        serving(each_time_anew, tls=server(authority)) as url,
        open_line(url, access=access) as line,
    ):
        with capture_logs() as logs:
            mounted.write_text("-----BEGIN CERTIFICATE-----")
            for _ in range(2):
                await line.ask("GET", "", seconds=5)
            mounted.unlink()
            await line.ask("GET", "", seconds=5)
            mounted.write_bytes(authority.file.read_bytes() + b"\n")
            await line.ask("GET", "", seconds=5)
    told = [each["event"] for each in logs]
    assert told == [*["certificates_unusable"] * 2, "certificates_taken"]


async def test_a_renewed_client_certificate_is_shown_without_a_restart(
    authority: Authority, tmp_path: Path
) -> None:
    cert_file, key_file = authority.issue("daemon")
    access = Access(ca_file=authority.file, cert_file=cert_file, key_file=key_file)
    renewed, wanting = Authority(tmp_path, "renewed"), server(authority)
    wanting.load_verify_locations(renewed.file)
    wanting.verify_mode = ssl.CERT_REQUIRED
    async with serving(each_time_anew, tls=wanting) as url, open_line(url, access=access) as line:
        with pytest.raises((Unavailable, Unclear)):
            await line.ask("GET", "", seconds=5)
        renewed.issue("daemon")  # into the same files
        await line.ask("GET", "", seconds=5)


def test_files_that_will_not_do_are_named_with_what_is_wrong(
    authority: Authority, tmp_path: Path
) -> None:
    cert_file, key_file = authority.issue("daemon")
    _, of_another = authority.issue("another")
    _, encrypted = authority.issue("encrypted", b"hunter2")
    text = tmp_path / "text.pem"
    text.write_text("hunter2")
    cases = [
        (Access(ca_file=tmp_path / "none.pem"), "ca_file: '.*none.pem' cannot be read: No such"),
        (Access(ca_file=text), "ca_file: '.*text.pem' holds no CA certificate"),
        (Access(cert_file=tmp_path / "none.pem"), "cert_file: '.*none.pem' cannot be read"),
        (Access(cert_file=text, key_file=key_file), "cert_file: '.*text.pem' holds no certificate"),
        (Access(cert_file=cert_file, key_file=of_another), "cert_file: '.*daemon.pem' holds no"),
        (Access(cert_file=cert_file, key_file=encrypted), "key_file: '.*' is encrypted"),
    ]
    for access, complaint in cases:
        with pytest.raises(BadBridgeUrl, match=complaint) as caught:
            tls_context(access)
        assert "hunter2" not in str(caught.value)


async def test_a_user_and_password_open_the_door_and_no_echo_of_them_is_shown() -> None:
    pair = base64.b64encode(b"me:hunter22").decode()

    def answer(asked: Asked) -> Said:
        if asked.headers.get("authorization") != f"Basic {pair}":
            return Reply(401, b"{}")
        if asked.method == "GET":
            return Reply(200, b'{"accounts":[]}')
        return Reply(400, f'{{"detail": "hunter22 or {pair} may not do that"}}'.encode())

    access = Access(user="me", password=Secret("hunter22"))
    async with serving(answer) as url:
        with pytest.raises(Unavailable, match="refuses our token"):
            await observe(url, Access(user="me", password=Secret("wrong")))
        async with open_bridge(BRIDGE, url, StoppedClock(), access=access) as bridge:
            with pytest.raises(Unclear) as caught:
                await bridge.initialize(SLOT, credentials(), "f1")
    assert "hunter22" not in str(caught.value)
    assert pair not in str(caught.value)
    assert "hunter22" not in repr(access)


async def test_a_connection_given_up_takes_no_file_of_anybody_else_with_it(
    authority: Authority, story: StoryBridge
) -> None:
    async with (
        serving(story, tls=server(authority)) as url,
        open_line(url, access=Access(ca_file=authority.file)) as line,
    ):
        for steps in range(12):  # by then the connection is made and its TLS begun
            asking = asyncio.create_task(line.ask("GET", "", seconds=5))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            others = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]  # the lowest numbers
            gc.collect()
            for number in others:
                os.close(number)  # raises when it is closed already
