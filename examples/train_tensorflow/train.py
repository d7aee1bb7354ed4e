"""Logistic regression by TensorFlow's MultiWorkerMirroredStrategy.

Each worker holds its share of the rows; TensorFlow sums the gradients. Worker 0 writes
checkpoints, and a SavedModel with its model.yaml, for our server or TensorFlow Serving.
The loop is our own, because Keras 3's `fit` fails under this strategy:
https://github.com/keras-team/keras/issues/20585.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from training_parts import checkpoints, rows, task, whole_folder


class Classifier(tf.Module):
    """What is served: rows as they are, to labels and probabilities."""

    def __init__(self, weights: dict[str, np.ndarray], scaled: rows.Rows) -> None:
        super().__init__()
        self.weight = tf.Variable(weights["weight"])
        self.bias = tf.Variable(weights["bias"])
        self.mean, self.deviation = (
            tf.constant(it) for it in (scaled.mean, scaled.deviation)
        )

    def classify(self, x: Any) -> dict[str, Any]:
        scores = (x - self.mean) / self.deviation @ self.weight + self.bias
        return {
            "label": tf.argmax(scores, axis=1),
            "probability": tf.nn.softmax(scores),
        }


def export(target: Path, name: str, model: Classifier) -> None:
    """Write a SavedModel and its model.yaml, in place of what is there."""
    features = model.weight.shape[0]
    signature = tf.function(
        model.classify,
        input_signature=[tf.TensorSpec([None, features], tf.float32, "input")],
    )
    with whole_folder.written(target) as part:
        signatures = {"serving_default": signature}
        tf.saved_model.save(model, str(part), signatures=signatures)
        describe = [sys.executable, "-m", "model_server.describe", str(part)]
        describe += ["--name", name]
        done = subprocess.run(describe, check=True, capture_output=True, text=True)
        (part / "model.yaml").write_text(done.stdout)


def worker() -> tuple[int, int]:
    """The index of this worker, and the number of workers."""
    config = json.loads(os.environ.get("TF_CONFIG", "{}"))
    if not config:
        return 0, 1
    return int(config["task"]["index"]), len(config["cluster"]["worker"])


def main() -> None:
    given = task.options(__doc__)
    index, workers = worker()
    everything = rows.read()
    mine = everything.share(index, workers)
    # Waits for the other workers.
    strategy = (
        tf.distribute.MultiWorkerMirroredStrategy()
        if workers > 1
        else tf.distribute.get_strategy()
    )
    folder = os.environ.get("SLIPWAY_CHECKPOINT")
    done, held = task.begin(folder, everything.x.shape[1])
    with strategy.scope():
        weights = {name: tf.Variable(value) for name, value in held.items()}
    x, y = tf.constant(mine.x), tf.constant(mine.y)

    @tf.function
    def step() -> Any:
        """One step of gradient descent, and the loss before it."""

        def of_one() -> Any:
            with tf.GradientTape() as tape:
                scores = x @ weights["weight"] + weights["bias"]
                entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(y, scores)
                loss = tf.reduce_mean(entropy)
            named = list(weights.values())
            slopes = tape.gradient(loss, named)
            context = tf.distribute.get_replica_context()
            mean = tf.distribute.ReduceOp.MEAN
            *slopes, loss = context.all_reduce(mean, [*slopes, loss])
            for variable, slope in zip(named, slopes, strict=True):
                variable.assign_sub(task.RATE * slope)
            return loss

        return strategy.reduce("MEAN", strategy.run(of_one), axis=None)

    @tf.function
    def meet() -> Any:
        """Wait for all workers."""

        def of_one() -> Any:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(1.0))

        return strategy.run(of_one)

    print(
        f"worker {index} of {workers} begins at step {done}: {len(x)} rows", flush=True
    )
    value = float("nan")
    for number in range(done + 1, given.steps + 1):
        value = float(step())
        if number % given.checkpoint_steps == 0 and index == 0:
            plain = {name: it.numpy() for name, it in weights.items()}
            checkpoints.save(folder, number, plain)
        time.sleep(given.step_seconds)
    # A run that was lost after its last checkpoint has no step left.
    said = f": loss {value:.6f}" if done < given.steps else ""
    print(f"worker {index} is done{said}", flush=True)
    if index == 0 and (result := os.environ.get("SLIPWAY_RESULT")):
        plain = {name: it.numpy() for name, it in weights.items()}
        export(Path(result) / "model", given.name, Classifier(plain, everything))
    # A worker that ends while another still works looks to that one like a lost worker.
    meet()


if __name__ == "__main__":
    main()
