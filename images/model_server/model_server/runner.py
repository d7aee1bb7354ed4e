"""One run of an onnxruntime session: buffers in, arrays out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime

from model_server.bfloat16 import to_floats
from model_server.buffers import Buffer, as_array
from model_server.datatypes import BFLOAT16, DATATYPES, TEXT
from model_server.manifest import Manifest, ModelError
from model_server.outputs import Array

Run = Callable[[Sequence[Buffer]], list[Array]]


class RefusedValuesError(Exception):
    """The model takes no such values, an id beyond its table for instance."""


_ONNX_BFLOAT16 = 16
_SILENT = 4
"""Log level of onnxruntime: its errors also come as exceptions, with the same text."""


def runner(manifest: Manifest, session: onnxruntime.InferenceSession) -> Run:
    """Return what runs a model once; outputs of BF16 come as FP32 of the same value.

    Raises `ModelError` for text beside BF16: onnxruntime takes text as numpy's arrays
    only, and gives BF16 as its own values only.
    """
    tensors = (*manifest.inputs, *manifest.outputs)
    if all(tensor.datatype != BFLOAT16 for tensor in tensors):
        return _arrays(manifest, session)
    if any(tensor.datatype == TEXT for tensor in tensors):
        problem = (
            f"{manifest.name}: onnxruntime's Python interface cannot run a model with "
            "both text and BF16; cast the BF16 to FP32 in the graph"
        )
        raise ModelError([problem])
    return _values(manifest, session)


def _arrays(manifest: Manifest, session: onnxruntime.InferenceSession) -> Run:
    names = [tensor.name for tensor in manifest.outputs]
    options = _options()
    inputs = [
        (tensor.name, DATATYPES[tensor.datatype].dtype, tensor.shape)
        for tensor in manifest.inputs
    ]

    def run(buffers: Sequence[Buffer]) -> list[Array]:
        feed = {
            name: np.frombuffer(buffer, dtype).reshape(shape)
            if isinstance(buffer, bytes)
            else buffer
            for (name, dtype, shape), buffer in zip(inputs, buffers, strict=True)
        }
        results: list[Array] = session.run(names, feed, options)
        return results

    return run


def _values(manifest: Manifest, session: onnxruntime.InferenceSession) -> Run:
    """Return what runs a model with BF16, which numpy has not, so `run` refuses it."""
    names = [tensor.name for tensor in manifest.outputs]
    options = _options()

    def run(buffers: Sequence[Buffer]) -> list[Array]:
        feed = {}
        for tensor, buffer in zip(manifest.inputs, buffers, strict=True):
            array = np.ascontiguousarray(as_array(tensor, buffer))
            if tensor.datatype == BFLOAT16:
                make = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
                feed[tensor.name] = make(array, _ONNX_BFLOAT16)
            else:
                make = onnxruntime.OrtValue.ortvalue_from_numpy
                feed[tensor.name] = make(array)
        return [_array(it) for it in session.run_with_ort_values(names, feed, options)]

    return run


def _options() -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    options.log_severity_level = _SILENT
    return options


def _array(value: onnxruntime.OrtValue) -> Array:
    """Return an output's values, copied if they are BF16."""
    if value.element_type() != _ONNX_BFLOAT16:
        array: Array = value.numpy()
        return array
    shape = value.shape()
    count = int(np.prod(shape, dtype=int))
    if not count:
        return np.zeros(shape, np.float32)
    bits = (ctypes.c_uint16 * count).from_address(value.data_ptr())
    return to_floats(np.ctypeslib.as_array(bits)).reshape(shape)
