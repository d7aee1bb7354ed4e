"""Software bills of materials as CycloneDX 1.7, by CycloneDX's own library.

    sbom.document(sbom.Part("waker", "1", kind="container"), parts)

The same parts give the same bytes: the document has no time, and its serial number
follows from its content. https://cyclonedx.org/docs/1.7/json/
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from packageurl import PackageURL

if TYPE_CHECKING:  # the library takes 0.3 s, and most commands do not need it
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

PREDICATE_TYPE = "https://cyclonedx.org/bom"
"""Type of an in-toto statement with such a document."""
PREFIX = "slipway:"
"""Prefix of property names, for data without a field in CycloneDX."""
_NAMESPACE = uuid.UUID("7a1f4f3e-5f0c-4b0e-9a43-3c0f8b1d6f52")

Kind = Literal["application", "container", "file", "library", "machine-learning-model"]


@dataclass(frozen=True)
class Part:
    """One thing that is in another: a package, a program, a file, an image."""

    name: str
    version: str = ""
    purl: str = ""
    """Package URL, by which databases of vulnerabilities know it: `deb`, `pypi`,
    `golang`, `maven` and `oci` make one."""
    kind: Kind = "library"
    sha256: str = ""
    """Digest of its file, in hexadecimal digits."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """More about it, by name without `PREFIX`."""

    @property
    def reference(self) -> str:
        """Return its reference in the document; equal for equal parts of one kind."""
        return self.purl or f"{self.kind}:{self.name}@{self.version}".rstrip("@")


def deb(name: str, version: str, architecture: str, suite: str) -> str:
    """The package URL of a Debian package."""
    qualifiers = {"arch": architecture, "distro": suite}
    return PackageURL("deb", "debian", name, version, qualifiers).to_string()


def pypi(name: str, version: str) -> str:
    """The package URL of a Python distribution."""
    return PackageURL("pypi", None, name, version).to_string()


def golang(module: str, version: str) -> str:
    """The package URL of a Go module."""
    space, _, name = module.rpartition("/")
    return PackageURL("golang", space or None, name, version).to_string()


def maven(group: str, artifact: str, version: str) -> str:
    """The package URL of a jar."""
    return PackageURL("maven", group, artifact, version).to_string()


def oci(repository: str, digest: str) -> str:
    """The package URL of an image, `host/path` with its digest `sha256:...`."""
    name = repository.rpartition("/")[2]
    qualifiers = {"repository_url": repository}
    return PackageURL("oci", None, name, digest, qualifiers).to_string()


def document(subject: Part, parts: Iterable[Part]) -> str:
    """The bill of materials of `subject`, which all `parts` are in, as JSON."""
    from cyclonedx.model.bom import Bom

    components = {part.reference: _component(part) for part in parts}
    bom = Bom(components=components.values())
    bom.metadata.component = _component(subject)
    bom.register_dependency(bom.metadata.component, components.values())
    bom.serial_number = uuid.uuid5(_NAMESPACE, _text(bom, uuid.UUID(int=0)))
    return _text(bom, bom.serial_number)


def parts(text: str) -> list[dict[str, Any]]:
    """The components of a document, as JSON objects."""
    found: list[dict[str, Any]] = json.loads(text).get("components", [])
    return found


def _text(bom: Bom, number: uuid.UUID) -> str:
    from cyclonedx.output.json import JsonV1Dot7

    bom.serial_number = number
    # Sorted: the order is not in what the library promises.
    written = json.loads(JsonV1Dot7(bom).output_as_string())
    del written["metadata"]["timestamp"]
    return json.dumps(written, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _component(part: Part) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)]
    return Component(
        name=part.name,
        version=part.version or None,
        type=ComponentType(part.kind),
        bom_ref=part.reference,
        purl=PackageURL.from_string(part.purl) if part.purl else None,
        hashes=hashes if part.sha256 else None,
        properties=[
            Property(name=f"{PREFIX}{name}", value=value)
            for name, value in sorted(part.properties.items())
        ],
    )
