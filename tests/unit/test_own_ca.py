"""A certificate authority of our own: what it issues, when it renews, what it hides."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from components.platform import own_ca

HOSTS = ("localhost", "127.0.0.1", "*.models.lab")
DAYS = 90
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def files(place: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in place.iterdir() if p.name != "lock"}


def after(days: float) -> datetime:
    return NOW + timedelta(days)


def test_what_is_good_is_left_alone(tmp_path: Path) -> None:
    first = own_ca.issue(tmp_path, HOSTS, DAYS, NOW)
    before = files(tmp_path)
    again = own_ca.issue(tmp_path, HOSTS, DAYS, after(DAYS * 2 / 3 - 1))
    assert again.certificate == first.certificate
    assert again.key_pem == first.key_pem
    assert files(tmp_path) == before


def test_the_last_third_brings_a_new_one_of_the_same_authority(tmp_path: Path) -> None:
    first = own_ca.issue(tmp_path, HOSTS, DAYS, NOW)
    authority = (tmp_path / "ca.crt").read_text()
    renewed = own_ca.issue(tmp_path, HOSTS, DAYS, after(DAYS * 2 / 3))
    assert renewed.key_pem != first.key_pem
    assert renewed.certificate.not_valid_after_utc == after(DAYS * 5 / 3)
    assert (tmp_path / "ca.crt").read_text() == authority


@pytest.mark.parametrize(("hosts", "days"), [(("other.lab",), DAYS), (HOSTS, 30)])
def test_other_hosts_or_days_bring_a_new_one(
    tmp_path: Path, hosts: tuple[str, ...], days: int
) -> None:
    first = own_ca.issue(tmp_path, HOSTS, DAYS, NOW)
    other = own_ca.issue(tmp_path, hosts, days, NOW)
    assert other.certificate != first.certificate


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    own_ca.issue(tmp_path, HOSTS, 397, NOW)
    before = (tmp_path / "ca.crt").read_bytes()
    late = own_ca.issue(tmp_path, HOSTS, 397, after(own_ca.CA_DAYS - 397))
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    assert (tmp_path / "ca.crt").read_bytes() != before
    late.certificate.verify_directly_issued_by(authority)
    assert late.certificate.not_valid_after_utc < authority.not_valid_after_utc


@pytest.mark.parametrize("name", ["ca.pem", "gateway.pem"])
@pytest.mark.parametrize("text", ["", "-----BEGIN PRIVATE KEY-----\nAA\n"])
def test_a_broken_file_is_replaced(tmp_path: Path, name: str, text: str) -> None:
    own_ca.issue(tmp_path, HOSTS, DAYS, NOW)
    (tmp_path / name).write_text(text)
    found = own_ca.issue(tmp_path, HOSTS, DAYS, NOW)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    found.certificate.verify_directly_issued_by(authority)


def test_only_the_owner_reads_keys_and_no_text_shows_them(tmp_path: Path) -> None:
    place = tmp_path / "authority"
    pair = own_ca.issue(place, HOSTS, DAYS, NOW)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in place.iterdir()}
    assert modes["ca.pem"] == modes["gateway.pem"] == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert "PRIVATE" not in (place / "ca.crt").read_text()
    assert "PRIVATE" not in pair.certificate_pem
    assert "PRIVATE" not in repr(pair) + str([pair])


def test_pythons_strictest_check_takes_it(tmp_path: Path) -> None:
    """A real handshake, over memory, with the name checked."""
    pair = own_ca.issue(tmp_path, HOSTS, DAYS)
    (tmp_path / "both.pem").write_text(pair.certificate_pem + pair.key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1", "a.models.lab"):
        assert _handshake(server, client, name) == "TLSv1.3"
    for name in ("models.lab", "127.0.0.2"):
        with pytest.raises(ssl.SSLCertVerificationError):
            _handshake(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server, ssl.create_default_context(), "localhost")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server.wrap_bio(up, down, server_side=True)
    ours = client.wrap_bio(down, up, server_hostname=name)
    waiting = [ours, theirs]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    return ours.version()
