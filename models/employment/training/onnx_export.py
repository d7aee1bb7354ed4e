"""The fitted classifier as ONNX, and the proof that both give the same answers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import skl2onnx
from onnx import ModelProto
from skl2onnx.common.data_types import FloatTensorType

INPUT = "input"
LABEL = "label"
PROBABILITY = "probability"
TOLERANCE = 1e-6
BOOLEANS = r"Field onnx\.AttributeProto\.ints: Expected an int, got a boolean"
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}


class DisagreementError(Exception):
    """ONNX Runtime and scikit-learn do not give the same predictions."""


def export(model: Any, features: int) -> bytes:
    """The classifier as ONNX bytes.

    `input` FP32 [-1, features] -> `label` INT64 [-1], `probability` FP32 [-1, 2].
    """
    with warnings.catch_warnings():
        # skl2onnx 1.20 gives booleans as integers: protobuf says so, and refuses them
        # from 7.34 on, which requirements.txt keeps out.
        warnings.filterwarnings("ignore", BOOLEANS, DeprecationWarning)
        converted: ModelProto = skl2onnx.convert_sklearn(
            model,
            name="employment",
            initial_types=[(INPUT, FloatTensorType([None, features]))],
            options={id(model): {"zipmap": False}},
            target_opset=TARGET_OPSET,
        )
    _rename_output(converted, converted.graph.output[1].name, PROBABILITY)
    serialized: bytes = converted.SerializeToString(deterministic=True)
    return serialized


def _rename_output(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == old:
                node.output[index] = new
    for output in model.graph.output:
        if output.name == old:
            output.name = new


def predict(
    onnx: bytes, features: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Labels [n] and probabilities [n, 2] by ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        onnx, options, providers=["CPUExecutionProvider"]
    )
    labels, probabilities = session.run([LABEL, PROBABILITY], {INPUT: features})
    return labels, probabilities


def check(onnx: bytes, model: Any, features: npt.NDArray[np.float32]) -> float:
    """Largest difference of a probability between ONNX Runtime and scikit-learn.

    Raises DisagreementError above TOLERANCE or if any label differs.
    """
    labels, probabilities = predict(onnx, features)
    expected = model.predict_proba(features)
    difference = float(np.abs(probabilities - expected).max())
    wrong = int((labels != model.predict(features)).sum())
    if difference > TOLERANCE or wrong:
        raise DisagreementError(
            f"of {len(features)} rows {wrong} have another label in ONNX Runtime than "
            f"in scikit-learn, and probabilities differ by up to {difference:.1e} "
            f"(allowed {TOLERANCE:.0e}): the export is not faithful"
        )
    return difference
