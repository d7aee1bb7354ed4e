"""The kinds of models that are served, and what each is called elsewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A kind of model: its file in the model folder and its names.

    `runtime` is the label of metrics, `platform` the protocol's word in metadata.
    """

    file: str
    runtime: str
    platform: str


ONNX = "onnx"
SAVED_MODEL = "savedmodel"
FORMATS = {
    ONNX: Format("model.onnx", "onnxruntime", "onnxruntime_onnx"),
    SAVED_MODEL: Format("saved_model.pb", "tensorflow", "tensorflow_savedmodel"),
}
DEFAULT_SIGNATURE = "serving_default"
"""What exporters call the signature, and TensorFlow Serving serves where none is
named."""
