"""Rollouts on scarce GPUs: what is possible, what is refused with how many missing."""

from __future__ import annotations

from typing import Any

import pytest

from components.cluster.nodes.node_pool_base import NodePoolBase
from components.serving.args import gpu_rollout, pool_room
from components.serving.args.gpu_rollout import Method, Situation, choose
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.settings import Problem, SettingsError, parse
from tests.support import rendered as r
from tests.unit.test_pool_room import IMAGES, pool

ROLLOUT = {"from": "old", "to": "new", "steps": [{"weight": 20}]}
ROUTE = {"route": {"prefix": "/m/v1"}}
LEND = {
    "replicas": 1,
    "peak_requests_per_second": 90,
    "replica_requests_per_second": 30,
}


BUSY = {"replicas": 3, "peak_requests_per_second": 250}
HALF = {"replicas": 2, "peak_requests_per_second": 70}


def gpu_pool(gpus: int, kind: str = "elastic") -> NodePoolBase:
    """Of g6.12xlarge, which has four GPUs."""
    types = {"instance_types": ["g6.12xlarge"]}
    if kind == "elastic":
        shape = {"kind": kind, "capacity": ["on-demand"], "max_gpus": gpus}
        return pool(types | shape)
    nodes = gpus // 4
    held = {"id": "cr-0123456789abcdef0", "instances": nodes, "zone": "eu-central-1a"}
    shape = {"kind": kind, "min_nodes": nodes, "max_nodes": nodes}
    return pool(types | shape | {"reservation": held})


def server(
    old: int, new: int, *, gpus: int = 1, spare: int = 0, **rollout: Any
) -> ModelServerArgs:
    """A model whose two revisions have so many replicas at rest."""

    def scaling(replicas: int) -> dict[str, Any]:
        return {
            "min_replicas": replicas,
            "max_replicas": replicas,
            "accept_single_replica": True,
        }

    nodes = {"instance_types": ["g6.12xlarge"], "pool": "own", "replica_gpus": gpus}
    runtime = {
        "kind": "triton",
        "backend": "onnxruntime",
        "gpus": nodes | {"spare_replicas": spare},
    }
    image = IMAGES["model_image"]
    revisions = {
        "old": {"model_image": image, "scaling": scaling(old)},
        "new": {"model_image": image, "scaling": scaling(new)},
    }
    content = {
        "image": IMAGES["image"],
        "runtime": runtime,
        "revisions": revisions,
        "rollout": ROLLOUT | rollout,
    }
    return parse(ModelServerArgs, content | ROUTE, "test")


def told(models: dict[str, ModelServerArgs], own: NodePoolBase) -> list[Problem]:
    pools = {"own": own}
    running = gpu_rollout.without_canaries(models, pools)
    return [
        *gpu_rollout.problems(models, pools),
        *pool_room.problems(running, pools),
    ]


def test_both_fit_side_by_side() -> None:
    assert told({"m": server(4, 4)}, gpu_pool(8)) == []


@pytest.mark.parametrize("kind", ["elastic", "reserved"])
def test_the_missing_gpus_are_counted(kind: str) -> None:
    (problem,) = told({"m": server(2, 2, gpus=2)}, gpu_pool(4, kind))
    assert problem.path == "models.m.rollout.to"
    assert "needs 4 GPUs" in problem.reason
    assert "0 more at its limit: 4 GPUs are missing" in problem.reason
    (part,) = told({"m": server(3, 3, gpus=1)}, gpu_pool(4, kind))
    assert "needs 3 GPUs" in part.reason
    assert "1 more at its limit: 2 GPUs are missing" in part.reason


def test_gaps_between_replicas_are_no_room() -> None:
    """Of four GPUs a node gives one replica of three, and one is left over."""
    (problem,) = told({"m": server(1, 1, gpus=3)}, gpu_pool(4))
    assert "3 GPUs are missing" in problem.reason
    assert told({"m": server(1, 1, gpus=3)}, gpu_pool(8)) == []


def test_others_of_the_pool_take_their_part() -> None:
    other = server(4, 1).model_copy(update={"rollout": None, "revisions": {}})
    other = other.model_copy(update={"scaling": other.scaling})
    assert told({"m": server(2, 2)}, gpu_pool(4)) == []
    found = told({"m": server(2, 2), "other": other}, gpu_pool(4))
    assert [it.path for it in found if it.path.endswith("rollout.to")]


def test_replicas_kept_for_updates_need_room_too() -> None:
    assert told({"m": server(1, 1, spare=1)}, gpu_pool(4)) == []
    (problem,) = told({"m": server(1, 2, spare=1)}, gpu_pool(4))
    assert "needs 3 GPUs" in problem.reason
    assert "1 GPUs are missing" in problem.reason


def test_what_can_be_done_is_said() -> None:
    (many,) = told({"m": server(4, 4)}, gpu_pool(4))
    assert "set rollout.lend: old gives some replicas up" in many.fix
    assert "slipway replay" not in many.fix
    (one,) = told({"m": server(1, 2, gpus=2)}, gpu_pool(4))
    assert "slipway replay" in one.fix
    assert "remove rollout and change model_image" in one.fix
    for it in (many, one):
        assert "raise the pool's limit" in it.fix


def test_old_replicas_that_do_not_fit_are_the_pools_problem_alone() -> None:
    found = told({"m": server(5, 1)}, gpu_pool(4))
    assert [it.path for it in found] == ["models.m.scaling.min_replicas"]


def test_lending_needs_no_gpu_more() -> None:
    lending = server(4, 4, lend=LEND)
    assert told({"m": lending}, gpu_pool(4)) == []
    sizes = {
        part.revision: (part.args.scaling.min_replicas, part.args.scaling.max_replicas)
        for part in parts("m", lending)
    }
    assert sizes == {"old": (3, 3), "new": (1, 1)}


@pytest.mark.parametrize(
    ("old", "lend", "steps", "path", "reason"),
    [
        (2, {}, [20], "replicas", "old has 2 replicas at rest"),
        (4, {"replicas": 4}, [20], "replicas", "keeps one"),
        (4, {"peak_requests_per_second": 91}, [20], "replicas", "that are left answer"),
        (4, {"replica_requests_per_second": None}, [20], "replica_requests", "measure"),
        # A third of three replicas is one: the controller would let it have 33 %.
        (4, {}, [33, 34], "", ""),
        (10, BUSY, [42], "replicas", "with 42 % new has 105 requests"),
        # Two of four are as many as are left: the last step would follow.
        (4, HALF, [20], "replicas", "with 100 % new has 70 requests"),
        (5, {"replicas": 2}, [40], "", ""),
    ],
)
def test_what_lending_cannot_bear(
    old: int, lend: dict[str, Any], steps: list[int], path: str, reason: str
) -> None:
    more = {
        "lend": {k: v for k, v in (LEND | lend).items() if v is not None},
        "steps": [{"weight": it} for it in steps],
    }
    if not path:
        server(old, 1, **more)
        return
    with pytest.raises(SettingsError) as caught:
        server(old, 1, **more)
    (problem,) = caught.value.problems
    assert problem.path.startswith(f"rollout.lend.{path}")
    assert reason in f"{problem.reason} {problem.fix}"


def test_ways_by_what_there_is() -> None:
    assert choose(Situation(4, 2, 2, 2)).methods == (Method.SURGE,)
    assert choose(Situation(4, 4, 2, 1)).methods == (Method.LEND, Method.REPLAY)
    assert choose(Situation(4, 4, 2, 1)).missing_gpus == 6
    busy = Situation(4, 4, 1, 0, peak=91, by_replica=30)
    assert choose(busy).methods == ()
    assert choose(Situation(1, 1, 1, 0)).methods == (Method.RECREATE,)
    assert choose(Situation(2, 1, 1, 0)).methods == ()


def test_the_stack_refuses_it() -> None:
    """Against the pools of the cluster's own stack, before anything is made."""
    gpus = {"instance_types": ["g6e.2xlarge"], "pool": "l40s"}
    runtime = {"kind": "triton", "backend": "onnxruntime", "gpus": gpus}
    revisions = {
        name: {
            "model_image": "employment",
            "scaling": {"min_replicas": 40, "max_replicas": 40},
        }
        for name in ("old", "new")
    }
    model = {
        "image": "tritonserver",
        "runtime": runtime,
        "revisions": revisions,
        "rollout": ROLLOUT,
        **ROUTE,
    }
    with pytest.raises(SettingsError):
        r.models(cluster={"stack": "cluster.prod"}, models={"m": model})


def test_lending_starts_no_pod_anew() -> None:
    """Only the autoscalers' bounds change, and the budgets of evictions."""

    def deployments(**more: Any) -> dict[str, Any]:
        revisions = {
            name: {
                "model_image": "employment",
                "scaling": {"min_replicas": 4, "max_replicas": 6},
            }
            for name in ("old", "new")
        }
        model = {"revisions": revisions, "rollout": ROLLOUT | more, **ROUTE}
        found = r.models(models={"m": model}).manifests
        return {
            f"{it['kind']}/{it['metadata']['name']}": it["spec"]
            for it in found
            if it["kind"] in ("Deployment", "HorizontalPodAutoscaler")
        }

    before, lent = deployments(), deployments(lend=LEND)
    for name in ("m-old", "m-new"):
        pods = f"Deployment/{name}"
        assert before[pods]["template"] == lent[pods]["template"]
    bounds = {
        name: (spec["minReplicas"], spec["maxReplicas"])
        for name, spec in lent.items()
        if name.startswith("Horizontal")
    }
    assert bounds == {
        "HorizontalPodAutoscaler/m-old": (3, 3),
        "HorizontalPodAutoscaler/m-new": (1, 1),
    }
