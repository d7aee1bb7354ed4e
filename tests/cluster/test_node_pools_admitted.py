"""A real API server takes our elastic pools by Karpenter's own rules.

The schemas' rules in CEL (which labels, which fields together) are judged by nothing
else here; what Karpenter and EC2 then make of the objects is not tried.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.platform import karpenter
from tests.cluster.conftest import Cluster
from tests.support import pools
from tests.support.kube import Kube

CASES: dict[str, dict[str, Any]] = {
    "gpu": pools.ELASTIC,
    "labelled": {
        **pools.ELASTIC,
        "labels": {"example.com/team": "a"},
        "taints": [{"key": "example.com/only", "effect": "NoExecute"}],
    },
    "reserved": {
        **pools.ELASTIC,
        "capacity": ["reserved", "spot", "on-demand"],
        "reservations": [pools.RESERVATION],
    },
    "cpu": {"kind": "elastic", "instance_types": ["m7g.large"], "max_nodes": 10},
    "neuron": {**pools.ELASTIC, "instance_types": ["inf2.xlarge"]},
    "mig": {
        **pools.ELASTIC,
        "instance_types": ["p4d.24xlarge"],
        "max_gpus": 16,
        "gpu": {"mode": "mig", "mig_profile": "2g.10gb"},
    },
    "shared": {**pools.ELASTIC, "gpu": {"mode": "time_slicing", "replicas": 4}},
}


@pytest.fixture(scope="module")
def kube(cluster: Cluster) -> Iterator[Kube]:
    """With Karpenter's definitions, which go again if they were not there."""
    with_definitions = Definitions(cluster.kube)
    with_definitions.add()
    yield cluster.kube
    with_definitions.remove()


class Definitions:
    """Karpenter's CRDs in a cluster that may have some."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.missing = [crd for crd in karpenter.definitions() if not self._has(crd)]

    def _has(self, crd: dict[str, Any]) -> bool:
        name = crd["metadata"]["name"]
        return self.kube.has("customresourcedefinition", name)

    def add(self) -> None:
        if self.missing:
            self.kube.apply(*self.missing)
        names = [f"crd/{crd['metadata']['name']}" for crd in karpenter.definitions()]
        established = "--for=condition=Established"
        self.kube.run("wait", established, *names, "--timeout=60s")

    def remove(self) -> None:
        if self.missing:
            self.kube.delete(*self.missing)


def refusal(kube: Kube, manifest: dict[str, Any]) -> str:
    """What the API server says against it; nothing is kept."""
    arguments = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
    return kube.run(*arguments, text=json.dumps(manifest), check=False).stderr


@pytest.mark.parametrize("case", CASES)
def test_it_is_taken(kube: Kube, case: str) -> None:
    for manifest in pools.objects(CASES[case]).values():
        assert refusal(kube, manifest) == ""


def test_the_rules_are_in_force(kube: Kube) -> None:
    """Else the test above could not fail."""
    found = pools.objects(pools.ELASTIC)
    both = copy.deepcopy(found["EC2NodeClass"])
    both["spec"]["role"] = "another"
    assert "exactly one of ['role', 'instanceProfile']" in refusal(kube, both)
    label = copy.deepcopy(found["NodePool"])
    label["spec"]["template"]["metadata"]["labels"]["karpenter.sh/own"] = "yes"
    assert "restricted" in refusal(kube, label)
