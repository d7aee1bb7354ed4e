"""`slipway bench sizing` against what the lab's Prometheus knows of real pods."""

from __future__ import annotations

from slipway.bench import sizing
from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until

FIRST_RATE_SECONDS = 90.0
"""In a lab that has just come up: a rate needs two samples of each container."""


def test_every_model_of_the_lab_is_sized_by_what_it_used(cluster: Cluster) -> None:
    """Use is known for each setting; no model ever used more memory than it may."""
    findings: list[sizing.Finding] = []

    def all_known() -> bool:
        prometheus = cluster.urls["prometheus"]
        findings[:] = sizing.of_stack("models.lab", prometheus, 1)
        return all(one.used is not None for one in findings)

    wait_until(all_known, FIRST_RATE_SECONDS, "what each model used")
    assert {one.model for one in findings} >= {"employment", "employment-flask"}
    for one in findings:
        assert one.used is not None
        assert one.better is not None
        assert one.used > 0
        if one.setting == "memory_limit_mib":
            assert one.used <= one.current
