"""What every cluster runs has room in its system pool, or it is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from components import catalog
from components.cluster.nodes import node_capacity, system_demand
from components.cluster.nodes.system_pool import SystemPool
from components.platform import karpenter
from components.settings import Problem, parse


def found(**content: Any) -> list[Problem]:
    whole = {"kind": "system", "instance_types": ["m7a.large"], **content}
    pool = parse(SystemPool, whole, "test")
    return list(system_demand.problems({"system": pool}))


def test_the_usual_pool_is_taken() -> None:
    assert found() == []
    assert found(taints=[{"key": "calm", "effect": "PreferNoSchedule"}]) == []


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_a_taint_that_keeps_cluster_services_off_is_refused(effect: str) -> None:
    (problem,) = found(taints=[{"key": "team", "effect": effect}])
    assert (problem.path, problem.value) == ("pools.system.taints.0", f"team:{effect}")


def test_memory_is_summed_over_the_nodes_that_are_always_there() -> None:
    needed = sum(it.replicas * it.memory_mib for it in system_demand.SERVICES)
    small = catalog.instance_type("t3.small")
    room = node_capacity.pod_memory_mib(small)
    least = math.ceil(needed / room)
    few = {"instance_types": ["t3.small"], "max_nodes": least}
    assert found(**few, min_nodes=least) == []
    (problem,) = found(**few, min_nodes=least - 1)
    assert f"{least - 1} of them have {room * (least - 1)} MiB" in problem.reason


def test_of_two_system_pools_each_may_hold_a_part() -> None:
    content = {"kind": "system", "instance_types": ["t3.small"]}
    nodes = {"min_nodes": 5, "max_nodes": 5}
    pool = parse(SystemPool, content | nodes, "test")
    assert len(list(system_demand.problems({"a": pool}))) == 1
    assert list(system_demand.problems({"a": pool, "b": pool})) == []


def test_the_table_has_karpenters_own_requests() -> None:
    (own,) = (it for it in system_demand.SERVICES if it.name == "karpenter")
    requests = karpenter.RESOURCES["requests"]
    assert requests["cpu"] == f"{own.cpu_millicores}m"
    assert requests["memory"] == f"{own.memory_mib}Mi"
