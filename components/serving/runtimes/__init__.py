"""Runtimes of models: one module each, with its settings and its known properties.

runtime: {kind: triton, backend: onnxruntime}
"""

from typing import Annotated

from pydantic import Field

from components.serving.runtimes.base import Runtime
from components.serving.runtimes.django import Django
from components.serving.runtimes.fastapi import FastApi
from components.serving.runtimes.flask import Flask
from components.serving.runtimes.onnx import Onnx
from components.serving.runtimes.savedmodel import SavedModel
from components.serving.runtimes.tensorflow_serving import TensorFlowServing
from components.serving.runtimes.triton import Triton
from components.serving.runtimes.vllm import Vllm

ALL: tuple[type[Runtime], ...] = (
    Onnx,
    SavedModel,
    FastApi,
    Flask,
    Django,
    TensorFlowServing,
    Triton,
    Vllm,
)

AnyRuntime = Annotated[
    Onnx | SavedModel | FastApi | Flask | Django | TensorFlowServing | Triton | Vllm,
    Field(discriminator="kind"),
]
"""A runtime, identified by its `kind`."""

__all__ = [
    "ALL",
    "AnyRuntime",
    "Django",
    "FastApi",
    "Flask",
    "Onnx",
    "Runtime",
    "SavedModel",
    "TensorFlowServing",
    "Triton",
    "Vllm",
]
