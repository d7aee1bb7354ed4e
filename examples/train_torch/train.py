"""Logistic regression by PyTorch's DistributedDataParallel, over a gang's workers.

Each worker holds its share of the rows; PyTorch averages the gradients. Worker 0 writes
checkpoints and the model folder. torchrun starts it, and starts it again from the last
checkpoint if a worker was lost.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from training_parts import checkpoints, model_folder, rows, task


def arrays(model: Any) -> checkpoints.Arrays:
    """The classifier's weight [features, classes] and bias [classes], FP32."""
    return {
        "weight": model.weight.detach().numpy().T.copy(),
        "bias": model.bias.detach().numpy().copy(),
    }


def begin(features: int, folder: str | None) -> tuple[int, Any]:
    """The step to go on from, the same for all workers, and the classifier."""
    model = torch.nn.Linear(features, task.CLASSES)
    done, held = task.begin(folder, features)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(held["weight"].T.copy()))
        model.bias.copy_(torch.from_numpy(held["bias"]))
    step = torch.tensor(done)
    dist.broadcast(step, src=0)
    return int(step), model


def main() -> None:
    given = task.options(__doc__)
    dist.init_process_group("gloo")
    worker, workers = dist.get_rank(), dist.get_world_size()
    everything = rows.read()
    mine = everything.share(worker, workers)
    x, y = torch.from_numpy(mine.x), torch.from_numpy(mine.y)
    folder = os.environ.get("SLIPWAY_CHECKPOINT")
    done, model = begin(x.shape[1], folder)
    # Gives all workers the weights of worker 0.
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=task.RATE)
    print(f"worker {worker} of {workers} begins at step {done}", flush=True)
    mean = torch.tensor(float("nan"))
    for number in range(done + 1, given.steps + 1):
        loss = torch.nn.functional.cross_entropy(parallel(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach() / workers
        dist.all_reduce(mean)
        if number % given.checkpoint_steps == 0 and worker == 0:
            checkpoints.save(folder, number, arrays(model))
        time.sleep(given.step_seconds)
    # A run that was lost after its last checkpoint has no step left.
    said = f": loss {float(mean):.6f}" if done < given.steps else ""
    print(f"worker {worker} is done{said}", flush=True)
    if worker == 0 and (result := os.environ.get("SLIPWAY_RESULT")):
        target = Path(result) / "model"
        model_folder.write(target, given.name, arrays(model), everything)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
