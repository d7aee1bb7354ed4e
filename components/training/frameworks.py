"""Rendezvous of a gang's processes, by framework: command and variables.

Names are made from the run's name and the worker's index, so that one template serves
every run. Kubernetes replaces `$(NAME)` by a variable that stands before it.
https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

Framework = Literal["torch", "tensorflow", "jax", "command"]
Variable = dict[str, Any]

RUN, RANK = "SLIPWAY_RUN", "SLIPWAY_NODE_RANK"
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
PORTS: dict[Framework, int] = {
    "torch": 29500,
    "tensorflow": 2222,
    "jax": 1234,
    "command": 29500,
}
"""Port of the worker of index 0, to which the others connect, by framework."""
INTERFACE = "eth0"
"""The pod's own interface: gloo would otherwise select one by the host's name."""


def worker(index: int | str, service: str) -> str:
    """A worker's DNS name."""
    return f"$({RUN})-{index}.{service}"


def command(framework: Framework, given: Sequence[str]) -> list[str]:
    """The container's command; torchrun starts the given one in each process."""
    return [*(("torchrun", "--no-python") if framework == "torch" else ()), *given]


def variables(
    framework: Framework,
    service: str,
    *,
    nodes: int,
    processes: int,
    restarts: int,
    threads: int,
) -> list[Variable]:
    """Return the framework's variables, and the gang's under our own names.

    `processes`: of one worker; `restarts`: those of torchrun; `threads`: of a process.
    """
    found = [
        of_run(),
        # The Job controller would append it last, where nothing can refer to it:
        # https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/controller/job/indexed_job_utils.go
        _of_label("JOB_COMPLETION_INDEX", INDEX_LABEL),
        _of_label(RANK, INDEX_LABEL),
        _plain("SLIPWAY_NODES", nodes),
        _plain("SLIPWAY_COORDINATOR", worker(0, service)),
        _plain("OMP_NUM_THREADS", threads),
    ]
    if framework == "torch":
        found += _torch(service, nodes, processes, restarts)
    elif framework == "tensorflow":
        found += _tensorflow(service, nodes)
    elif framework == "jax":
        found += _jax(service, nodes)
    return found


def of_run() -> Variable:
    """Return the run's name, from which the workers' names are derived."""
    return _of_label(RUN, JOB_NAME_LABEL)


def own_names(framework: Framework) -> frozenset[str]:
    """Return the variables that are set here and that a job must not set too."""
    made = variables(
        framework,
        "",
        nodes=1,
        processes=1,
        restarts=0,
        threads=1,
    )
    return frozenset(one["name"] for one in made)


def _torch(
    service: str, nodes: int, processes: int, restarts: int
) -> Iterator[Variable]:
    """PET_*: the options of torchrun.

    Static rendezvous: with c10d, both agents failed when a whole pod was lost, and the
    store's host is chosen by comparing names (pytorch#80772).
    """
    yield _plain("PET_NNODES", nodes)
    yield _plain("PET_NPROC_PER_NODE", processes)
    yield _plain("PET_NODE_RANK", f"$({RANK})")
    yield _plain("PET_RDZV_BACKEND", "static")
    yield _plain("PET_MASTER_ADDR", worker(0, service))
    yield _plain("PET_MASTER_PORT", PORTS["torch"])
    yield _plain("PET_MAX_RESTARTS", restarts)
    for name in ("GLOO", "TP", "NCCL"):
        yield _plain(f"{name}_SOCKET_IFNAME", INTERFACE)


def _tensorflow(service: str, nodes: int) -> Iterator[Variable]:
    """TF_CONFIG: the cluster, and this worker's place in it.

    https://www.tensorflow.org/guide/distributed_training#set_up_tf_config_environment_variable
    """
    port = PORTS["tensorflow"]
    workers = [f"{worker(index, service)}:{port}" for index in range(nodes)]
    cluster = json.dumps({"worker": workers})
    task = f'{{"type": "worker", "index": $({RANK})}}'
    yield _plain("TF_CONFIG", f'{{"cluster": {cluster}, "task": {task}}}')
    # Otherwise a peer that has not started yet is an immediate error.
    yield _plain("GRPC_FAIL_FAST", "use_caller")


def _jax(service: str, nodes: int) -> Iterator[Variable]:
    """Variables that the program passes to jax.distributed.initialize.

    https://docs.jax.dev/en/latest/multi_process.html
    """
    yield _plain("JAX_COORDINATOR_ADDRESS", f"{worker(0, service)}:{PORTS['jax']}")
    yield _plain("JAX_NUM_PROCESSES", nodes)
    yield _plain("JAX_PROCESS_ID", f"$({RANK})")


def _plain(name: str, value: str | int) -> Variable:
    return {"name": name, "value": str(value)}


def _of_label(name: str, label: str) -> Variable:
    path = f"metadata.labels['{label}']"
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}
    return {"name": name, "valueFrom": source}
