"""Logistic regression by JAX, data parallel over the workers of a gang.

Each worker holds its share of the rows; JAX sums the gradients. Worker 0 writes
checkpoints and the model folder. The same program runs with any number of workers, and
with one gives the same weights but for rounding.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from training_parts import checkpoints, model_folder, rows, task

Weights = Mapping[str, jax.Array]


def join() -> None:
    """Meet the other workers, which wait for each other."""
    if int(os.environ["JAX_NUM_PROCESSES"]) == 1:
        return
    # XLA's CPU backend has no collectives of its own.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        os.environ["JAX_COORDINATOR_ADDRESS"],
        int(os.environ["JAX_NUM_PROCESSES"]),
        int(os.environ["JAX_PROCESS_ID"]),
    )


def loss(weights: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross-entropy of all rows."""
    scores = jax.nn.log_softmax(x @ weights["weight"] + weights["bias"])
    return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()


@jax.jit
def step(weights: Weights, x: jax.Array, y: jax.Array) -> tuple[Weights, jax.Array]:
    """One step of gradient descent, and the loss before it."""
    value, slopes = jax.value_and_grad(loss)(weights, x, y)
    return jax.tree.map(
        lambda w, g: w - task.RATE * g, dict(weights), dict(slopes)
    ), value


def begin(features: int) -> tuple[int, dict[str, np.ndarray]]:
    """The step to go on from and its weights: what worker 0 has read, for all."""
    found = task.begin(os.environ.get("SLIPWAY_CHECKPOINT"), features)
    done, weights = multihost_utils.broadcast_one_to_all(found)
    return int(done), {name: np.asarray(it) for name, it in weights.items()}


def main() -> None:
    given = task.options(__doc__)
    join()
    worker, workers = jax.process_index(), jax.process_count()
    everything = rows.read()
    mine = everything.share(worker, workers)
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    split, same = (NamedSharding(mesh, PartitionSpec(*it)) for it in (("rows",), ()))
    x = jax.make_array_from_process_local_data(split, mine.x)
    y = jax.make_array_from_process_local_data(split, mine.y.astype(np.int32))
    done, held = begin(everything.x.shape[1])
    print(f"worker {worker} of {workers} begins at step {done}", flush=True)
    weights: Weights = {
        name: jax.device_put(value, same) for name, value in held.items()
    }
    value = jnp.nan
    for number in range(done + 1, given.steps + 1):
        weights, value = step(weights, x, y)
        if number % given.checkpoint_steps == 0 and worker == 0:
            plain = {name: np.asarray(it) for name, it in weights.items()}
            checkpoints.save(os.environ.get("SLIPWAY_CHECKPOINT"), number, plain)
        time.sleep(given.step_seconds)
    # A run that was lost after its last checkpoint has no step left.
    said = f": loss {float(value):.6f}" if done < given.steps else ""
    print(f"worker {worker} is done{said}", flush=True)
    if worker == 0 and (result := os.environ.get("SLIPWAY_RESULT")):
        plain = {name: np.asarray(it) for name, it in weights.items()}
        model_folder.write(Path(result) / "model", given.name, plain, everything)


if __name__ == "__main__":
    main()
