"""What a model server counts on is looked up in the stack that makes its cluster."""

from __future__ import annotations

from typing import Any

import pytest

from components.settings import SettingsError
from tests.support import rendered as r

POOL = "slipway.dev/pool"
GPU = {"instance_types": ["g6e.2xlarge"]}
TRITON = {
    "image": "tritonserver",
    "runtime": {"kind": "triton", "backend": "onnxruntime", "gpus": GPU},
}


def on_prod(name: str = "employment", **args: Any) -> Any:
    model = {**r.EMPLOYMENT, **args}
    return r.models(cluster={"stack": "cluster.prod"}, models={name: model})


def test_what_the_cluster_has_is_taken() -> None:
    system = on_prod(node_selector={POOL: "system"})
    assert r.pod(system)["nodeSelector"] == {POOL: "system"}
    gpus = r.pod(on_prod(node_selector={POOL: "l40s"}, **TRITON))
    assert gpus["nodeSelector"] == {POOL: "l40s"}
    assert gpus["tolerations"]
    on_prod(service_account={"pod_identity": True})


@pytest.mark.parametrize(
    ("name", "args", "path", "reason"),
    [
        (
            "employment",
            {"node_selector": {POOL: "h200"}},
            f"node_selector.{POOL}",
            "no such pool",
        ),
        (
            "employment",
            {"node_selector": {POOL: "l40s"}},
            f"node_selector.{POOL}",
            "taint nvidia.com/gpu",
        ),
        (
            "scoring",
            {"service_account": {"pod_identity": True}},
            "service_account.pod_identity",
            "the cluster stack has no identity for models/scoring",
        ),
    ],
)
def test_what_the_cluster_lacks_is_refused(
    name: str, args: dict[str, Any], path: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        on_prod(name, **args)
    (problem,) = caught.value.problems
    assert problem.path == f"models.{name}.{path}"
    assert reason in problem.reason
