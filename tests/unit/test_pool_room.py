"""Pools have room for the replicas of the models that name them, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from components import catalog
from components.cluster.nodes import node_capacity, node_daemons, pod_room
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.node_pool_settings import NodePool
from components.serving.args import pool_room
from components.serving.args.model_server_args import ModelServerArgs
from components.settings import Problem, parse
from tests.support import rendered as r

POOL = "slipway.dev/pool"
IMAGES = {"model_image": r.reference("m"), "image": r.reference("s")}
GPU_POOL = {
    "kind": "elastic",
    "instance_types": ["g6.xlarge"],
    "capacity": ["on-demand"],
    "max_gpus": 4,
}
ALONE = {"accept_single_replica": True}
CPU_POOL = {
    "kind": "elastic",
    "instance_types": ["m7a.xlarge"],
    "capacity": ["on-demand"],
    "max_nodes": 2,
}


def pool(content: dict[str, Any]) -> NodePoolBase:
    return TypeAdapter(NodePool).validate_python(content)


def on_cpus(**more: Any) -> ModelServerArgs:
    content = {**IMAGES, "node_selector": {POOL: "own"}, **more}
    return parse(ModelServerArgs, content, "test")


def on_gpus(least: int, most: int, spare: int = 0) -> ModelServerArgs:
    gpus = {"instance_types": ["g6.xlarge"], "pool": "own", "spare_replicas": spare}
    runtime = {"kind": "triton", "backend": "onnxruntime", "gpus": gpus}
    scaling = {"min_replicas": least, "max_replicas": most, **ALONE}
    content = {**IMAGES, "runtime": runtime, "scaling": scaling}
    return parse(ModelServerArgs, content, "test")


def found(models: dict[str, ModelServerArgs], content: dict[str, Any]) -> list[Problem]:
    return list(pool_room.problems(models, {"own": pool(content)}))


def test_a_replica_that_just_fits_is_taken_and_one_more_is_not() -> None:
    most = node_capacity.pod_cpu_millicores(catalog.instance_type("m7a.xlarge"))
    limits = {"cpu_limit_millicores": 8000, "memory_limit_mib": 2048}
    scaling = {"min_replicas": 2, "max_replicas": 2}
    fits = {"cpu_request_millicores": most, **limits}
    assert found({"a": on_cpus(resources=fits, scaling=scaling)}, CPU_POOL) == []
    larger = {"cpu_request_millicores": most + 1, **limits}
    (problem,) = found({"a": on_cpus(resources=larger, scaling=scaling)}, CPU_POOL)
    assert problem.path == "models.a.resources.cpu_request_millicores"
    assert f"get {most}," in problem.reason


def test_memory_is_compared_too() -> None:
    most = node_capacity.pod_memory_mib(catalog.instance_type("m7a.xlarge"))
    asked = {"memory_request_mib": most + 1, "memory_limit_mib": most + 1}
    (problem,) = found({"a": on_cpus(resources=asked)}, CPU_POOL)
    assert problem.path == "models.a.resources.memory_request_mib"
    assert f"get {most} MiB," in problem.reason


SIZES = ["m7a.xlarge", "m7a.4xlarge"]


@pytest.mark.parametrize("shape", ["elastic", "system"])
def test_of_an_elastic_pool_one_type_with_room_is_enough(shape: str) -> None:
    """Of a node group it is not: EC2 chooses the type."""
    small, large = (
        node_capacity.pod_memory_mib(catalog.instance_type(name)) for name in SIZES
    )
    content: dict[str, Any] = {**CPU_POOL, "instance_types": SIZES}
    if shape == "system":
        content = {"kind": "system", "instance_types": SIZES}
    own = pool(content)

    def refused(memory: int) -> list[str]:
        asked = (250, memory)
        problems = list(pod_room.problems("job.resources", own, asked, what="worker"))
        assert {it.path for it in problems} <= {"job.resources.memory_request_mib"}
        return [name for name in SIZES for it in problems if f"{name} of" in it.reason]

    assert refused(small) == []
    assert refused(small + 1) == ([] if shape == "elastic" else SIZES[:1])
    assert refused(large + 1) == SIZES


def test_a_type_has_room_for_cpu_and_memory_at_once() -> None:
    types = [catalog.instance_type(name) for name in ("c7a.2xlarge", "r7a.xlarge")]
    cpus, memories = types
    own = pool({**CPU_POOL, "instance_types": [t.name for t in types]})
    asked = (
        node_capacity.pod_cpu_millicores(cpus),
        node_capacity.pod_memory_mib(memories),
    )
    problems = list(pod_room.problems("job.resources", own, asked, what="worker"))
    assert [it.path.rpartition(".")[2] for it in problems] == [
        "memory_request_mib",
        "cpu_request_millicores",
    ]


def test_replicas_at_rest_of_all_models_fit_into_the_pool() -> None:
    assert found({"a": on_gpus(2, 2), "b": on_gpus(2, 2)}, GPU_POOL) == []
    problems = found({"a": on_gpus(2, 2), "b": on_gpus(2, 2, spare=1)}, GPU_POOL)
    paths = [problem.path for problem in problems]
    assert paths == [f"models.{name}.scaling.min_replicas" for name in "ab"]
    assert "take 125 % of the pool own (4 of g6.xlarge)" in problems[0].reason


def test_each_models_most_replicas_fit_beside_the_others_at_rest() -> None:
    assert found({"a": on_gpus(1, 3), "b": on_gpus(1, 3)}, GPU_POOL) == []
    (problem,) = found({"a": on_gpus(1, 4), "b": on_gpus(1, 3)}, GPU_POOL)
    assert (problem.path, problem.value) == ("models.a.scaling.max_replicas", 4)
    assert "with the others at rest take 125 %" in problem.reason


def test_a_model_loads_before_its_node_may_be_removed_or_replaced() -> None:
    def paths(seconds: int) -> list[str]:
        lifecycle = {"startup_seconds": seconds}
        expiring = {**CPU_POOL, "model_load_seconds": 600, "expire_after_hours": 1}
        return [
            it.reason for it in found({"a": on_cpus(lifecycle=lifecycle)}, expiring)
        ]

    assert paths(600) == []
    (removed,) = paths(601)
    assert "counts on 600 s until a model answers" in removed
    assert "replaced after 3600 s" in paths(3600)[-1]


def test_a_model_that_names_no_pool_is_not_compared() -> None:
    args = parse(ModelServerArgs, IMAGES, "test")
    assert found({"a": args}, CPU_POOL) == []


@pytest.mark.parametrize("name", ["g6.xlarge", "m7a.xlarge"])
def test_daemons_take_their_part(name: str) -> None:
    t = catalog.instance_type(name)
    names = [daemon.name for daemon in node_daemons.daemons(t)]
    assert ("nvidia-device-plugin" in names) == bool(t.gpu)
    taken = node_daemons.cpu_millicores(t)
    assert taken >= 165
    left = node_capacity.pod_cpu_millicores(t)
    assert left == node_capacity.allocatable_cpu_millicores(t) - taken
