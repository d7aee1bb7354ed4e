"""Any jobs on any nodes: what is taken has room once the preemptible ones are gone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from components.serving.args import borrowing
from tests.unit.test_borrowing import JOB, STACK, STAYS, borrower
from tests.unit.test_gpu_rollout import gpu_pool

NODE = 4
"""GPUs of one node of the pool."""
workers = st.lists(st.integers(1, NODE), min_size=1, max_size=2)


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, NODE)),
    st.integers(1, 4),
    workers,
    st.data(),
)
def test_there_is_room_wherever_the_others_are(
    model: tuple[int, int, int], nodes: int, stay: list[int], data: st.DataObject
) -> None:
    """Pods that stay are placed anywhere; the scheduler evicts the rest of a node."""
    old, new, gpus = model
    jobs = [
        replace(STAYS, name=f"job-{number}", worker_gpus=size)
        for number, size in enumerate(stay)
    ]
    models = {"m": borrower(old, new, gpus=gpus)}
    pools = {"own": gpu_pool(nodes * NODE)}
    found = list(borrowing.problems(models, pools, {STACK: [JOB, *jobs]}))
    room = nodes * (NODE // gpus)
    if found or old + new > room:
        return
    free = [NODE] * nodes
    for size in data.draw(st.permutations([*stay, *[gpus] * old])):
        fitting = [number for number, left in enumerate(free) if left >= size]
        if fitting:  # else it is the one that waits
            free[data.draw(st.sampled_from(fitting))] -= size
    assert sum(left // gpus for left in free) >= new
