"""Entries as in-toto statements in signed envelopes.

Other tools can check the signature without knowing the ledger (`dsse`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from slipway.ledger import dsse
from slipway.ledger.dsse import STATEMENT_TYPE, BrokenEnvelopeError
from slipway.ledger.entry import Entry

PREDICATE_TYPE = "https://slipway.dev/model-ledger/v1"
"""The format's version is its last part."""


class BrokenEntryError(BrokenEnvelopeError):
    """The file is not an envelope of an entry; `what` is form, key or signature."""


def seal(entry: Entry, subject: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The text of an entry's file; `subject` is what its revision was registered as."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subjects(subject),
        "predicateType": PREDICATE_TYPE,
        "predicate": entry.content(),
    }
    return dsse.seal(statement, key)


def opened(
    content: bytes, trusted: Mapping[str, Ed25519PublicKey] | None
) -> tuple[Entry, list[dict[str, Any]]]:
    """The entry of a file and the statement's subjects.

    trusted: public keys by their id; None leaves the signature unchecked. Raises
    BrokenEntryError.
    """
    try:
        return _entry(dsse.opened(content, trusted))
    except BrokenEnvelopeError as error:
        raise BrokenEntryError(error.what, str(error)) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise BrokenEntryError("form", str(error)) from None


def _entry(statement: Mapping[str, Any]) -> tuple[Entry, list[dict[str, Any]]]:
    kinds = statement.get("_type"), statement.get("predicateType")
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError(f"the statement is not of the type {PREDICATE_TYPE}")
    return Entry.of(statement.get("predicate")), statement.get("subject", [])


def subjects(subject: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the statement's subjects: the image and the files, with their digests."""
    named = {it["path"]: it["sha256"] for it in subject.get("files", [])}
    if image := subject.get("image"):
        name, _, sha256 = image.rpartition("sha256:")
        named[name.rstrip("@") or "image"] = sha256
    return [{"name": it, "digest": {"sha256": named[it]}} for it in sorted(named)]
