"""Any rollout on any pool: what is taken fits, what is refused does not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from components.serving.args import gpu_rollout
from components.serving.args.gpu_rollout import Method, Situation, choose
from components.serving.args.lending import LEAST_REPLICAS
from tests.unit.test_gpu_rollout import gpu_pool, server

NODE = 4
"""GPUs of one node of the pool."""
sizes = st.integers(1, 6)
rates = st.none() | st.floats(1, 1000)
any_situation = st.builds(
    Situation,
    replicas=sizes,
    canary=sizes,
    replica_gpus=st.integers(1, 8),
    free_replicas=st.integers(0, 20),
    is_lent=st.booleans(),
    peak=rates,
    by_replica=rates,
)


@given(any_situation)
def test_ways_hold_what_they_promise(it: Situation) -> None:
    plan = choose(it)
    fits = it.canary <= it.free_replicas
    assert (plan.missing_gpus == 0) == fits == (plan.methods == (Method.SURGE,))
    short = it.canary - it.free_replicas
    assert plan.missing_gpus == max(0, short) * it.replica_gpus
    if Method.LEND in plan.methods:
        assert it.replicas >= LEAST_REPLICAS
        assert not it.is_lent
        if it.peak is not None and it.by_replica is not None:
            assert it.peak <= (it.replicas - 1) * it.by_replica
    if Method.RECREATE in plan.methods:
        assert it.replicas == 1
    assert [*plan.methods] == [it for it in Method if it in plan.methods]
    # With as many GPUs more as are missing, nothing is.
    richer = it.free_replicas + plan.missing_gpus // it.replica_gpus
    assert choose(replace(it, free_replicas=richer)).missing_gpus == 0


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.integers(1, NODE), st.integers(1, 5))
def test_a_pool_is_counted_as_nodes_hold_replicas(
    old: int, new: int, gpus: int, nodes: int
) -> None:
    models = {"m": server(old, new, gpus=gpus)}
    pools = {"own": gpu_pool(nodes * NODE)}
    room = nodes * (NODE // gpus)
    found = [*gpu_rollout.problems(models, pools)]
    if old > room:
        assert found == []  # the pool's problem, with or without a rollout
    elif old + new <= room:
        assert found == []
    else:
        (problem,) = found
        missing = (old + new - room) * gpus
        assert f": {missing} GPUs are missing" in problem.reason
