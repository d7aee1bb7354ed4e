"""Keys that sign entries: ed25519, as PEM files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from toolchain import paths
from toolchain.errors import WrongInputError

NEW = "make one with `slipway ledger key`, or name yours"


def default_key() -> Path:
    """The user's own key."""
    return paths.state() / "ledger-key.pem"


def public_file(key: Path) -> Path:
    """Return the path of a key's public half, in the same folder."""
    return key.with_suffix(".pub.pem")


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key in DER form, in hexadecimal digits."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def make(path: Path) -> str:
    """Write a new key, which only its owner can read, and its public half.

    Returns the key's id. A key that is there is never replaced: what it signed could
    no longer be verified.
    """
    there = [it for it in (path, public_file(path)) if it.exists()]
    if there:
        raise WrongInputError(
            f"{there[0]}: exists already; give another file with --out"
        )
    key = Ed25519PrivateKey.generate()
    pem = Encoding.PEM
    private = key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(pem, PublicFormat.SubjectPublicKeyInfo)
    for file, content, mode in (
        (path, private, 0o600),
        (public_file(path), public, 0o644),
    ):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(file, flags, mode), "wb") as opened:
                opened.write(content)
        except OSError as error:
            raise WrongInputError(
                f"{file}: {error.strerror}; give another file with --out"
            ) from None
    return key_id(key.public_key())


def load_private(path: Path) -> Ed25519PrivateKey:
    """The key that signs; WrongInputError if there is none, or others can read it."""
    content = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise WrongInputError(
            f"{path}: mode {mode:04o} lets others read the key; run chmod 600 {path}"
        )
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise WrongInputError(
            f"{path}: is not a private ed25519 key in PEM without a passphrase; {NEW}"
        )
    return key


def load_trusted(files: Iterable[Path]) -> dict[str, Ed25519PublicKey]:
    """Public keys by their id."""
    found = {}
    for path in files:
        try:
            key = load_pem_public_key(_read(path))
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise WrongInputError(
                f"{path}: is not a public ed25519 key in PEM; give the .pub.pem file "
                "that `slipway ledger key` wrote"
            )
        found[key_id(key)] = key
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongInputError(f"{path}: {error.strerror}; {NEW}") from None
