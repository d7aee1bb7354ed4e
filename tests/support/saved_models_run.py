"""Writes SavedModels into the folder that is named; runs where TensorFlow is.

scores    two signatures: serving_default (FP32 to scores and labels), and texts
lookup    a table of three rows; other ids are refused by the graph
half      BF16 in and out
python    calls Python: exported without a word, and cannot be served
one_row   a signature of exactly one row
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

WEIGHTS = [[1.0, -1.0], [0.5, 0.25], [0.0, 2.0]]


def spec(name: str, dtype: Any, *shape: int | None) -> Any:
    return tf.TensorSpec(shape, dtype, name=name)


class Scores(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(WEIGHTS)

    @tf.function(input_signature=[spec("x", tf.float32, None, 3)])
    def scores(self, x: Any) -> dict[str, Any]:
        found = x @ self.weights
        return {"score": found, "label": tf.argmax(found, axis=1)}

    @tf.function(
        input_signature=[
            spec("word", tf.string, None),
            spec("ids", tf.int32, None, None),
        ]
    )
    def texts(self, word: Any, ids: Any) -> dict[str, Any]:
        return {
            "upper": tf.strings.upper(word, encoding="utf-8"),
            "size": tf.reduce_sum(ids, axis=1),
        }

    @tf.function(input_signature=[spec("number", tf.int32, None)])
    def lookup(self, number: Any) -> dict[str, Any]:
        return {"row": tf.gather(self.weights, number)}

    @tf.function(input_signature=[spec("x", tf.bfloat16, None, 2)])
    def half(self, x: Any) -> dict[str, Any]:
        return {"y": x / 2}

    @tf.function(input_signature=[spec("x", tf.float32, None)])
    def python(self, x: Any) -> dict[str, Any]:
        found = tf.numpy_function(lambda it: it * 2, [x], tf.float32)
        return {"y": tf.ensure_shape(found, [None])}

    @tf.function(input_signature=[spec("x", tf.float32, 1, 3)])
    def one_row(self, x: Any) -> dict[str, Any]:
        return {"y": x @ self.weights}


def main(folder: Path) -> None:
    model = Scores()
    for name, signatures in {
        "scores": {"serving_default": model.scores, "texts": model.texts},
        "lookup": {"serving_default": model.lookup},
        "half": {"serving_default": model.half},
        "python": {"serving_default": model.python},
        "one_row": {"serving_default": model.one_row},
    }.items():
        tf.saved_model.save(model, str(folder / name), signatures=signatures)


main(Path(sys.argv[1]))
