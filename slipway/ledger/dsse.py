"""In-toto statements in DSSE envelopes, signed with ed25519.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md and
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. The ledger's
entries and what is attested about images have this form.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from slipway.ledger.canonical import canonical
from slipway.ledger.keys import key_id

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class BrokenEnvelopeError(ValueError):
    """It is not such an envelope; `what` is form, key or signature."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(reason)
        self.what = what


def seal(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The envelope's text in canonical JSON, with a line's end."""
    payload = canonical(statement)
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": key_id(key.public_key()),
                "sig": base64.b64encode(key.sign(_signed(payload))).decode(),
            }
        ],
    }
    return canonical(envelope) + b"\n"


def opened(
    content: bytes, trusted: Mapping[str, Ed25519PublicKey] | None
) -> dict[str, Any]:
    """The statement in an envelope.

    trusted: public keys by their id; None leaves the signature unchecked. Raises
    BrokenEnvelopeError.
    """
    payload, key, signature = _parts(content)
    if trusted is not None:
        _check_signature(payload, key, signature, trusted)
    try:
        statement = json.loads(payload)
        is_canonical = isinstance(statement, dict) and canonical(statement) == payload
    except (ValueError, TypeError, RecursionError) as error:
        raise BrokenEnvelopeError("form", str(error)) from None
    if not is_canonical:
        raise BrokenEnvelopeError("form", "the payload is not in canonical JSON")
    found: dict[str, Any] = statement
    return found


def _signed(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def _parts(content: bytes) -> tuple[bytes, str, bytes]:
    try:
        envelope = json.loads(content)
        (signed,) = envelope["signatures"]
        form = {"payloadType": PAYLOAD_TYPE, "payload": envelope["payload"]}
        form["signatures"] = [{"keyid": signed["keyid"], "sig": signed["sig"]}]
        is_canonical = canonical(form) + b"\n" == content
        payload, signature = _bytes(envelope["payload"]), _bytes(signed["sig"])
        key = str(signed["keyid"])
    except (ValueError, TypeError, KeyError, RecursionError):
        is_canonical = False
    if not is_canonical:
        raise BrokenEnvelopeError(
            "form", "the file is not a DSSE envelope in canonical JSON"
        )
    return payload, key, signature


def _bytes(text: str) -> bytes:
    """What base64 gives; ValueError for one of the other texts of the same bytes."""
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("the base64 has bits that say nothing")
    return found


def _check_signature(
    payload: bytes, key: str, signature: bytes, trusted: Mapping[str, Ed25519PublicKey]
) -> None:
    public = trusted.get(key)
    if public is None:
        known = ", ".join(it[:16] for it in trusted) or "none"
        raise BrokenEnvelopeError(
            "key",
            f"it is signed with the key {key[:16]}, which is not trusted (trusted: "
            f"{known})",
        )
    try:
        public.verify(signature, _signed(payload))
    except InvalidSignature:
        raise BrokenEnvelopeError(
            "signature", "what it says was changed after it was signed"
        ) from None
