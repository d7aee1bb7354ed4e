"""A private certificate authority for the lab, where no public one issues certificates.

Its files lie in the user's state folder, readable by the owner alone, never in the
checkout: anyone who has `ca.pem` can issue certificates for any name to all who trust
the authority.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolchain import paths, whole_files
from toolchain.locks import locked

CA_DAYS = 3650
CA_RENEWAL_DAYS = 398
"""No certificate may outlive the authority, and none holds longer than 397 days."""
RENEWAL_SHARE = 3
"""A certificate is made anew in the last third of its days."""
CLOCKS_DIFFER = timedelta(minutes=5)
_KEY_BEGIN = "-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key; the key is not shown."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"Pair({self.certificate.subject.rfc4514_string()})"

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key: the caller keeps it secret."""
        return self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()


def folder(stack: str) -> Path:
    """Return the folder of a stack's authority."""
    return paths.state() / "authorities" / stack


def authority_file(stack: str) -> Path:
    """What clients verify with, such as `curl --cacert`; no secret."""
    return folder(stack) / "ca.crt"


def issue(
    place: Path, hosts: Sequence[str], days: int, now: datetime | None = None
) -> Pair:
    """The server certificate for the hosts: the one that is there, or a new one.

    A new one where there is none, where the hosts are others, in the last third of its
    days, or where the authority is new. Writes nothing if nothing is new.
    """
    now = now or datetime.now(UTC)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(place / "lock"):
        authority = _read(place / "ca.pem")
        if authority is None or _left(authority, now) < timedelta(CA_RENEWAL_DAYS):
            authority = _authority(now)
            _write(place / "ca.pem", authority.certificate_pem + authority.key_pem)
        public = place / "ca.crt"
        if not public.is_file() or public.read_text() != authority.certificate_pem:
            _write(public, authority.certificate_pem, 0o644)
        found = _read(place / "gateway.pem")
        if found is None or not _serves(found, authority, hosts, days, now):
            found = _server(authority, hosts, days, now)
            _write(place / "gateway.pem", found.certificate_pem + found.key_pem)
    return found


def _serves(
    found: Pair, authority: Pair, hosts: Sequence[str], days: int, now: datetime
) -> bool:
    try:
        found.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    names = found.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value
    begin = found.certificate.not_valid_before_utc + CLOCKS_DIFFER
    return (
        set(names) == set(_names(hosts))
        and found.certificate.not_valid_after_utc - begin == timedelta(days)
        and _left(found, now) * RENEWAL_SHARE > timedelta(days)
    )


def _left(pair: Pair, now: datetime) -> timedelta:
    return pair.certificate.not_valid_after_utc - now


def _authority(now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Slipway's own authority, {now.date()}")
    builder = _builder(key, name, name, now, CA_DAYS)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    ).add_extension(_usage(signs_certificates=True), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def _server(authority: Pair, hosts: Sequence[str], days: int, now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    builder = _builder(key, _name("Slipway gateway"), issuer, now, days)
    its_key = authority.key.public_key()
    builder = (
        builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(its_key), critical=False
        )
    )
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    begin = now.replace(microsecond=0)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - CLOCKS_DIFFER)
        .not_valid_after(begin + timedelta(days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _read(path: Path) -> Pair | None:
    """Return a file's content; None if it is missing or is not one of ours."""
    try:
        text = path.read_text()
        certificate, begin, key = text.partition(_KEY_BEGIN)
        loaded = load_pem_private_key((begin + key).encode(), password=None)
        found = x509.load_pem_x509_certificate(certificate.encode())
    except (OSError, ValueError):
        return None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        return None
    return Pair(found, loaded)


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    """Puts both halves in place at once: a killed run leaves the old file or this."""
    whole_files.write(path, text, mode)
