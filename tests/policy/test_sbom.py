"""Bills of materials against the schema that CycloneDX publishes."""

from __future__ import annotations

import json

from slipway import sbom
from slipway.images import dpkg
from slipway.sbom import Part
from tests.policy.test_model_card import errors

STATUS = (
    "Package: libstdc++6\nStatus: install ok installed\nSource: gcc-12\n"
    "Version: 12.2.0-14+deb12u1\nArchitecture: amd64\n"
)
PARTS = [
    *dpkg.installed(STATUS, "bookworm", {"libstdc++6": "ab" * 32}),
    Part("httpx", "0.28.1", sbom.pypi("httpx", "0.28.1")),
    Part("stdlib", "1.26.8", sbom.golang("stdlib", "1.26.8")),
    Part("k8s.io/api", "v0.36.1", sbom.golang("k8s.io/api", "v0.36.1")),
    Part("employment", "abc", kind="machine-learning-model", sha256="cd" * 32),
    Part("contracts", "def", kind="file"),
    Part("program", kind="application"),
    Part("base", "x", sbom.oci("h.example/a/b", "sha256:" + "0" * 64), "container"),
]


ADDRESSES = {
    "https://a.example/b?c=%20#d": True,
    "../b": True,
    "https://a.example/ü": True,
    "https://a.example/b c": False,
    "https://a.example/ü c": False,
    "https://a.example/b\n": False,
    "https://[a.example/": False,
}
"""And whether each is a reference, which the format of CycloneDX asks for."""


def test_every_document_is_valid_cyclonedx() -> None:
    subject = Part("waker", "1", kind="container", properties={"key": "k"})
    whole, empty = sbom.document(subject, PARTS), sbom.document(subject, [])
    wrong, pointing = json.loads(whole), json.loads(empty)
    wrong["components"][0]["kind"] = "library"
    documents = {"whole": whole, "empty": empty, "wrong": json.dumps(wrong)}
    for address in ADDRESSES:
        of = {"url": address, "type": "website"}
        pointing["metadata"]["component"]["externalReferences"] = [of]
        documents[address] = json.dumps(pointing)
    said = errors(documents)
    assert "'kind' was unexpected" in str(said.pop("wrong"))
    assert [said.pop("whole"), said.pop("empty")] == [None, None]
    assert {name: it is None for name, it in said.items()} == ADDRESSES
