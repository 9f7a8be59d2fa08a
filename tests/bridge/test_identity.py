"""A certificate is replaced under a bridge that runs; who connects then is shown the new one."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.x509 import load_der_x509_certificate
from structlog.testing import capture_logs

from bridge.identity import LOOK_S, Identity
from tests.daemon.bridges.certificates import Authority


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Mounted:
    """A Secret as Kubernetes mounts it: files are links into a directory, swapped as a whole."""

    def __init__(self, place: Path, authority: Authority) -> None:
        self._place, self._authority, self._count = place, authority, 0
        self.cert, self.key = place / "tls.crt", place / "tls.key"
        self.put("first")
        self.cert.symlink_to(Path("..data/tls.crt"))
        self.key.symlink_to(Path("..data/tls.key"))

    def put(self, subject: str, key_of: str | None = None) -> None:
        """Mount a certificate for *subject*, with the key of another if so told."""
        self._count += 1
        version = self._place / f"..{self._count}"
        version.mkdir()
        cert, key = self._authority.issue(subject)
        if key_of is not None:
            key = self._authority.issue(key_of)[1]
        cert.rename(version / "tls.crt")
        key.rename(version / "tls.key")
        link = self._place / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._place / "..data")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def mounted(tmp_path: Path, authority: Authority) -> Mounted:
    (tmp_path / "mount").mkdir()
    return Mounted(tmp_path / "mount", authority)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def identity(mounted: Mounted, clock: Clock) -> Identity:
    return Identity(mounted.cert, mounted.key, clock)


def shown(identity: Identity, authority: Authority) -> str:
    """Return whose certificate a client is shown that connects now."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=authority.file)
    client = trusting.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    server = identity.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    return load_der_x509_certificate(certificate).subject.rfc4514_string().removeprefix("CN=")


def test_files_that_were_swapped_are_taken_at_the_next_look(
    identity: Identity, mounted: Mounted, clock: Clock, authority: Authority
) -> None:
    identity.look()
    assert shown(identity, authority) == "first"
    mounted.put("second")
    identity.look()
    assert shown(identity, authority) == "first"
    clock.now += LOOK_S
    with capture_logs() as logs:
        identity.look()
    assert shown(identity, authority) == "second"
    assert [each["event"] for each in logs] == ["certificate_taken"]


def test_a_pair_that_does_not_fit_leaves_the_old_one_and_is_told_once(
    identity: Identity, mounted: Mounted, clock: Clock, authority: Authority
) -> None:
    mounted.put("second", key_of="other")
    with capture_logs() as logs:
        for _ in range(3):
            clock.now += LOOK_S
            identity.look()
            assert shown(identity, authority) == "first"
        mounted.put("third")
        clock.now += LOOK_S
        identity.look()
    assert shown(identity, authority) == "third"
    assert [each["event"] for each in logs] == ["certificate_unusable", "certificate_taken"]


@pytest.mark.parametrize("half", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB"])
def test_a_file_that_is_half_written_or_gone_is_waited_for(
    identity: Identity, mounted: Mounted, clock: Clock, authority: Authority, half: bytes
) -> None:
    whole = mounted.cert.read_bytes()
    mounted.cert.write_bytes(half)
    clock.now += LOOK_S
    identity.look()
    mounted.key.unlink()
    clock.now += LOOK_S
    identity.look()
    assert shown(identity, authority) == "first"
    cert, key = authority.issue("second")
    mounted.cert.write_bytes(cert.read_bytes())
    key.rename(mounted.key)
    assert whole != mounted.cert.read_bytes()
    clock.now += LOOK_S
    identity.look()
    assert shown(identity, authority) == "second"


def test_told_to_hurry_it_reads_them_though_nothing_changed(
    identity: Identity, authority: Authority
) -> None:
    identity.look()
    identity.hurry()
    with capture_logs() as logs:
        identity.look()
    assert [each["event"] for each in logs] == ["certificate_taken"]
    assert shown(identity, authority) == "first"
