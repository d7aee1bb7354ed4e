"""A network trained tensor parallel and pipeline parallel, against one process.

torchrun starts it with two workers. Each way of dividing the network trains the same
steps on the same rows, and its weights are compared with those of a worker alone. Exits
with 1 if one differs by more than 1e-6. FSDP2 is not among them: PyTorch 2.6 has it for
GPUs only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

FEATURES, HIDDEN, ROWS, STEPS, RATE, SEED = 16, 32, 64, 20, 0.1, 1
MICROBATCHES = 4
TOLERANCE = 1e-6
Weights = dict[str, torch.Tensor]


def network() -> Any:
    torch.manual_seed(SEED)
    return torch.nn.Sequential(
        torch.nn.Linear(FEATURES, HIDDEN),
        torch.nn.Tanh(),
        torch.nn.Linear(HIDDEN, 2),
    )


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    chosen = torch.Generator().manual_seed(SEED)
    x = torch.randn(ROWS, FEATURES, generator=chosen)
    return x, (x.sum(dim=1) > 0).long()


def train(model: Any, step: Callable[[], None]) -> None:
    """Run `step`, which computes gradients, and follow them."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        step()
        optimizer.step()


def alone() -> Weights:
    model, (x, y) = network(), rows()
    train(model, lambda: torch.nn.functional.cross_entropy(model(x), y).backward())
    return dict(model.state_dict())


def tensor_parallel() -> Weights:
    """Each worker has half of the hidden units."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    model, (x, y) = parallelize_module(network(), mesh, plan), rows()
    train(model, lambda: torch.nn.functional.cross_entropy(model(x), y).backward())
    return {
        name: it.full_tensor() if isinstance(it, DTensor) else it
        for name, it in model.state_dict().items()
    }


def pipeline_parallel() -> Weights:
    """The first worker has the hidden units, the second the rest."""
    rank, (x, y) = dist.get_rank(), rows()
    layers = list(network())
    part = torch.nn.Sequential(*(layers[:2] if rank == 0 else layers[2:]))
    stage = PipelineStage(part, rank, dist.get_world_size(), torch.device("cpu"))

    def loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        # PyTorch 2.6 adds the gradients of the microbatches.
        return torch.nn.functional.cross_entropy(scores, labels) / MICROBATCHES

    schedule = ScheduleGPipe(stage, MICROBATCHES, loss_fn=loss)

    def step() -> None:
        if rank == 0:
            schedule.step(x)
        else:
            schedule.step(target=y)

    train(part, step)
    first = 0 if rank == 0 else 2
    mine = {f"{int(n[0]) + first}{n[1:]}": it for n, it in part.state_dict().items()}
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, copy.deepcopy(mine))
    return {name: it for part in parts for name, it in part.items()}


def main() -> None:
    dist.init_process_group("gloo")
    expected, differs = alone(), False
    for way in (tensor_parallel, pipeline_parallel):
        found = way()
        assert found.keys() == expected.keys(), (found.keys(), expected.keys())
        most = max(float((found[it] - expected[it]).abs().max()) for it in expected)
        differs |= most > TOLERANCE
        if dist.get_rank() == 0:
            print(f"{way.__name__}: largest difference {most:.1e}", flush=True)
    dist.barrier()
    dist.destroy_process_group()
    if differs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
