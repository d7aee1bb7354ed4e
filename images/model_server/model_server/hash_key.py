"""The key of the hashes of features in the prediction log."""

from __future__ import annotations

from pathlib import Path

LEAST_BYTES = 32
"""HMAC-SHA256 is as strong as its key, up to the length of the digest (RFC 2104)."""


def read_hash_key(file: Path) -> bytes:
    """Return the file's bytes, all of them; raise `ValueError` with what is wrong."""
    try:
        key = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot be read: {error.strerror}; mount the key there or unset it"
        ) from None
    if len(key) < LEAST_BYTES:
        raise ValueError(
            f"holds {len(key)} bytes; a key has at least {LEAST_BYTES}, for example of "
            f"`openssl rand -out FILE {LEAST_BYTES}`"
        )
    return key
