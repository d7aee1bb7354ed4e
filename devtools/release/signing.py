"""Checksums of a release's files, and the signature of the list.

Both are for tools that every machine has: `sha256sum --check` and `openssl pkeyutl`. An
ed25519 signature depends on key and content only (RFC 8032, 5.1.6), so that a release
that is made again has the same.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from toolchain.digests import sha256_of

SUMS, SIGNATURE, PUBLIC_KEY = "SHA256SUMS", "SHA256SUMS.sig", "slipway-release.pub.pem"
_OWN = {SUMS, SIGNATURE, PUBLIC_KEY}


def sums(folder: Path) -> str:
    """The text of SHA256SUMS for all other files of the folder."""
    files = sorted(it for it in folder.iterdir() if it.name not in _OWN)
    return "".join(f"{sha256_of(it)}  {it.name}\n" for it in files)


def sign(folder: Path, key: Ed25519PrivateKey | None) -> None:
    """Writes SHA256SUMS, and with a key its signature and the public key."""
    text = sums(folder)
    (folder / SUMS).write_text(text)
    if key is None:
        return
    (folder / SIGNATURE).write_bytes(key.sign(text.encode()))
    public = key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / PUBLIC_KEY).write_bytes(pem)
