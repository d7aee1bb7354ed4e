"""Signs what was pushed, and verifies what a lock file names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from components.images import LOADED
from lab.settings import REGISTRY_NAME
from slipway import sbom
from slipway.images import provenance, records, signatures
from slipway.images.archives import REGISTRY_PORT
from slipway.images.builds import Means, bill_of_materials
from slipway.images.errors import ImageError, Report
from slipway.images.registry import Registry
from slipway.images.repository import Repository
from slipway.images.table import Image
from slipway.ledger.keys import key_id

KINDS = {provenance.PROVENANCE: "provenance", sbom.PREDICATE_TYPE: "SBOM"}


@dataclass(frozen=True)
class Verdict:
    """The result of verifying one image of a lock file."""

    name: str
    reference: str
    key: str
    """Id of the key that signed; empty if none that is trusted did."""
    reason: str
    """Why not."""
    attested: tuple[str, ...]
    """Documents that a trusted key attests: provenance, SBOM."""
    commit: str = ""
    """Revision of the checkout that it was built from."""

    @property
    def is_good(self) -> bool:
        return bool(self.key)


def sign(
    chosen: Iterable[Image],
    registry: Registry,
    key: Ed25519PrivateKey,
    report: Report,
    means: Means,
) -> list[str]:
    """Signs pushed images, with provenance and bill of materials; names of the signed.

    An image that this key has signed and attested already is left as it is. Raises
    ImageError.
    """
    own = {key_id(key.public_key()): key.public_key()}
    signed = []
    for image in chosen:
        digest = records.read(means.builder)[image.name].digest
        with Repository(registry, registry.path(image.repository)) as repository:
            found = signatures.verified(repository, digest, own)
            if found.key and len(found.statements) == len(KINDS):
                continue
            report(image.name, "signing")
            about = _statements(image, digest, registry, means)
            signatures.sign(repository, digest, about, key)
        signed.append(image.name)
    return signed


def _statements(
    image: Image, digest: str, registry: Registry, means: Means
) -> list[provenance.Object]:
    document = bill_of_materials(image.name, means).read_text()
    record = records.read(means.builder)[image.name]
    built = provenance.predicate(image, record, means.builder.name, document)
    subject = provenance.subject(f"{registry.host}/{image.repository}", digest)
    bill = provenance.bill(document)
    return [
        provenance.statement(subject, provenance.PROVENANCE, built),
        provenance.statement(subject, sbom.PREDICATE_TYPE, bill),
    ]


def verify(
    references: Mapping[str, str],
    trusted: Mapping[str, Ed25519PublicKey],
    place: Registry | None = None,
) -> Iterator[Verdict]:
    """A verdict on each image of a lock file.

    `place`: the registry as it is reached from here, if not by the references' name;
    the paths stay. A registry that does not answer is a reason, not an error.
    """
    for name, reference in sorted(references.items()):
        yield _verdict(name, reference, trusted, place)


def _verdict(
    name: str,
    reference: str,
    trusted: Mapping[str, Ed25519PublicKey],
    place: Registry | None,
) -> Verdict:
    named, _, digest = reference.partition("@")
    host, _, path = named.partition("/")
    if host == LOADED:
        reason = "it was loaded into nodes; only a registry holds signatures"
        return Verdict(name, reference, "", reason, ())
    registry = place or _registry(host)
    # A tag beside the digest says nothing.
    head, colon, tail = path.rpartition(":")
    path = head if colon and "/" not in tail else path
    try:
        with Repository(registry, path) as repository:
            found = signatures.verified(repository, digest, trusted)
    except ImageError as error:
        return Verdict(name, reference, "", str(error), ())
    kinds = [KINDS.get(it.get("predicateType", ""), "") for it in found.statements]
    attested = tuple(sorted(filter(None, set(kinds))))
    commit = _commit(found.statements)
    return Verdict(name, reference, found.key, found.reason, attested, commit)


def _registry(host: str) -> Registry:
    """The registry of a reference; the lab's is at another address from here."""
    is_lab = host == f"{REGISTRY_NAME}:{REGISTRY_PORT}"
    return Registry.of_lab() if is_lab else Registry.at(host)


def _commit(statements: Iterable[provenance.Object]) -> str:
    for statement in statements:
        if statement.get("predicateType") == provenance.PROVENANCE:
            built = statement.get("predicate", {}).get("buildDefinition", {})
            for part in built.get("resolvedDependencies", []):
                if commit := part.get("digest", {}).get("gitCommit"):
                    return str(commit)
    return ""
