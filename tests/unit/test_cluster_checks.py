"""What a model server counts on is looked up in the stack that makes its cluster."""

from __future__ import annotations

from typing import Any

import pytest

from components.cluster.nodes.elastic_pool import ElasticPool
from components.serving.args import gpu_pools
from components.serving.args.model_server_args import ModelServerArgs
from components.settings import SettingsError, parse
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
        (
            "employment",
            {"prediction_log": {"sink": "s3://logs/models"}, "monitor": {}},
            "prediction_log.sink",
            "the cluster stack has no identity for models/model-monitor",
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


def test_a_pools_own_taint_is_tolerated_or_reported() -> None:
    own = {"key": "team", "value": "ml"}
    pool = parse(
        ElasticPool,
        {
            "kind": "elastic",
            "instance_types": ["g6e.2xlarge"],
            "capacity": ["on-demand"],
            "max_gpus": 4,
            "taints": [own, {"key": "calm", "effect": "PreferNoSchedule"}],
        },
        "test",
    )

    def told(**more: Any) -> list[str]:
        images = {"model_image": r.reference("m"), "image": r.reference("t")}
        args = parse(ModelServerArgs, {**TRITON, **images, **more}, "test")
        found = gpu_pools.intolerable("pool", "l40s", args, pool)
        return [problem.reason for problem in found]

    assert told(tolerations=[own]) == []
    (other,) = told(tolerations=[{**own, "value": "web"}])
    assert "the taint team=ml:NoSchedule" in other
    assert told() == [other]
    pod = r.pod(r.model(tolerations=[own]))
    wanted = {"operator": "Equal", "effect": "NoSchedule", **own}
    assert pod["tolerations"] == [wanted]
    assert wanted in r.pod(r.model(tolerations=[own], **TRITON))["tolerations"]


def test_without_a_pool_the_instance_types_choose_the_nodes() -> None:
    affinity = r.pod(r.model(**TRITON))["affinity"]["nodeAffinity"]
    required = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = required["nodeSelectorTerms"]
    (expression,) = term["matchExpressions"]
    assert expression == {
        "key": "node.kubernetes.io/instance-type",
        "operator": "In",
        "values": ["g6e.2xlarge"],
    }
    pooled = {**TRITON, "runtime": {**TRITON["runtime"], "gpus": {**GPU, "pool": "a"}}}
    assert "nodeAffinity" not in r.pod(r.model(**pooled))["affinity"]
    assert "nodeAffinity" not in r.pod(r.model())["affinity"]
