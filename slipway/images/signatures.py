"""Signatures and attestations beside images in a registry, laid out as cosign does.

The tag `sha256-<digest>.sig` of the image's repository is a manifest whose layers are
signed payloads; `sha256-<digest>.att` has in-toto statements in DSSE envelopes.
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md and
ATTESTATION_SPEC.md there. The keys are ed25519, those of the model ledger.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from slipway.images.oci_archive import CONFIG, MANIFEST
from slipway.images.provenance import Object
from slipway.images.repository import Repository
from slipway.ledger import dsse
from slipway.ledger.canonical import canonical
from slipway.ledger.keys import key_id

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
PREDICATE = "predicateType"
KIND = "cosign container image signature"
SIGNATURES, ATTESTATIONS = "sig", "att"


@dataclass(frozen=True)
class Found:
    """The trusted signatures of an image."""

    key: str
    """Id of the key; empty: no trusted key has signed."""
    reason: str
    """Why not; empty if one has."""
    statements: Sequence[Object]
    """In-toto statements about the image that a trusted key has signed."""


def tag(digest: str, kind: str) -> str:
    return f"{digest.replace(':', '-')}.{kind}"


def sign(
    repository: Repository,
    digest: str,
    statements: Sequence[Object],
    key: Ed25519PrivateKey,
) -> None:
    """Stores a signature of the image with that digest, and statements about it.

    What others have signed stays; a statement of the same kind by the same key is
    replaced.
    """
    payload = _payload(repository.registry.host, repository.name, digest)
    named = {SIGNATURE: base64.b64encode(key.sign(payload)).decode()}
    _add(repository, tag(digest, SIGNATURES), [(payload, SIMPLE_SIGNING, named)], "")
    sealed = [
        (dsse.seal(it, key), ENVELOPE, {SIGNATURE: "", PREDICATE: it["predicateType"]})
        for it in statements
    ]
    mine = key_id(key.public_key())
    _add(repository, tag(digest, ATTESTATIONS), sealed, mine)


def verified(
    repository: Repository, digest: str, trusted: Mapping[str, Ed25519PublicKey]
) -> Found:
    """Return the trusted signatures of the image with that digest."""
    key, reason = "", "it has no signature"
    for payload, layer in _layers(repository, tag(digest, SIGNATURES)):
        signer = _signer(payload, layer, trusted)
        if not signer:
            reason = f"none of its signatures is by a trusted key ({_ids(trusted)})"
        elif _digest_in(payload) != digest:
            reason = f"a trusted key signed another digest, {_digest_in(payload)}"
        else:
            key, reason = signer, ""
            break
    return Found(key, reason, list(_statements(repository, digest, trusted)))


def _statements(
    repository: Repository, digest: str, trusted: Mapping[str, Ed25519PublicKey]
) -> Iterator[Object]:
    wanted = digest.removeprefix("sha256:")
    for content, _ in _layers(repository, tag(digest, ATTESTATIONS)):
        try:
            statement = dsse.opened(content, trusted)
        except dsse.BrokenEnvelopeError:
            continue
        subjects = statement.get("subject", [])
        if any(it.get("digest", {}).get("sha256") == wanted for it in subjects):
            yield statement


def _payload(host: str, name: str, digest: str) -> bytes:
    """A claim as containers-signature(5) of containers/image gives it."""
    reference = f"{host.partition('/')[0]}/{name}"
    return canonical(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": digest},
                "type": KIND,
            },
            "optional": None,
        }
    )


def _digest_in(payload: bytes) -> str:
    try:
        said = json.loads(payload)["critical"]
        kind, digest = said["type"], said["image"]["docker-manifest-digest"]
    except (ValueError, TypeError, KeyError):
        return "(none)"
    return str(digest) if kind == KIND else f"(of the type {kind!r})"


def _signer(
    payload: bytes, layer: Object, trusted: Mapping[str, Ed25519PublicKey]
) -> str:
    """Id of the trusted key that signed; empty if none did."""
    try:
        given = base64.b64decode(layer.get("annotations", {}).get(SIGNATURE, ""))
    except ValueError:
        return ""
    for identity, key in trusted.items():
        try:
            key.verify(given, payload)
        except InvalidSignature:
            continue
        return identity
    return ""


def _ids(trusted: Mapping[str, Ed25519PublicKey]) -> str:
    return ", ".join(identity[:16] for identity in trusted) or "none"


def _layers(repository: Repository, name: str) -> Iterator[tuple[bytes, Object]]:
    """Content and descriptor of each layer of a manifest; none without it."""
    for layer in _manifest(repository, name).get("layers", []):
        yield repository.blob(layer["digest"]), layer


def _manifest(repository: Repository, name: str) -> Object:
    content = repository.manifest(name)
    found: Object = json.loads(content) if content else {}
    return found


def _add(
    repository: Repository,
    name: str,
    signed: Sequence[tuple[bytes, str, dict[str, str]]],
    replaced_key: str,
) -> None:
    """Puts layers into a manifest beside those of others."""
    new = [
        {**repository.put_blob(content, kind), "annotations": annotations}
        for content, kind, annotations in signed
    ]
    kinds = {layer["annotations"].get(PREDICATE) for layer in new}
    kept = [
        layer
        for content, layer in _layers(repository, name)
        if layer not in new
        and not (
            replaced_key
            and layer.get("annotations", {}).get(PREDICATE) in kinds
            and _key_of(content) == replaced_key
        )
    ]
    layers = [*kept, *new]
    digests: list[Any] = [layer["digest"] for layer in layers]
    config = canonical(
        {
            "architecture": "",
            "config": {},
            "os": "",
            "rootfs": {"diff_ids": digests, "type": "layers"},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": repository.put_blob(config, CONFIG),
        "layers": layers,
    }
    repository.put_manifest(name, canonical(manifest))


def _key_of(envelope: bytes) -> str:
    try:
        return str(json.loads(envelope)["signatures"][0]["keyid"])
    except (ValueError, TypeError, KeyError, IndexError):
        return ""
