"""The task of all training programs: a linear classifier by gradient descent."""

from __future__ import annotations

import argparse

import numpy as np

from training_parts import checkpoints

CLASSES, RATE = 2, 0.5
"""Classes of the labels, and the length of a step."""


def options(description: str | None) -> argparse.Namespace:
    """The command line's: name, steps, checkpoint_steps, step_seconds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--name", default="census", help="name in model.yaml")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--checkpoint-steps", type=int, default=20)
    parser.add_argument("--step-seconds", type=float, default=0, help="wait after each")
    return parser.parse_args()


def begin(folder: str | None, features: int) -> tuple[int, checkpoints.Arrays]:
    """The step that is done and its weights, from the checkpoint if there is one.

    weight: FP32 [features, classes]; bias: FP32 [classes].
    """
    return checkpoints.load(folder) or (
        0,
        {
            "weight": np.zeros((features, CLASSES), np.float32),
            "bias": np.zeros(CLASSES, np.float32),
        },
    )
