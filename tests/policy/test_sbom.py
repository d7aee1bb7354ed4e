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


def test_every_document_is_valid_cyclonedx() -> None:
    subject = Part("waker", "1", kind="container", properties={"key": "k"})
    whole = sbom.document(subject, PARTS)
    wrong = json.loads(whole)
    wrong["components"][0]["kind"] = "library"
    said = errors(
        {
            "whole": whole,
            "empty": sbom.document(subject, []),
            "wrong": json.dumps(wrong),
        }
    )
    assert "'kind' was unexpected" in str(said.pop("wrong"))
    assert said == {"whole": None, "empty": None}
