"""The usual way to serve the same model: FastAPI, pydantic, one run per request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, Field

_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = 1
_options.inter_op_num_threads = 1
_session = onnxruntime.InferenceSession(
    Path(os.environ["BENCHMARK_MODEL"]) / "model.onnx",
    _options,
    providers=["CPUExecutionProvider"],
)

app = FastAPI()


class InputTensor(BaseModel):
    """One tensor of a request."""

    name: str
    shape: list[int] = Field(min_length=2, max_length=2)
    datatype: Literal["FP32"]
    data: list[float]


class Request(BaseModel):
    """An Open Inference Protocol request."""

    id: str | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)


class OutputTensor(BaseModel):
    """One tensor of an answer."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Answer(BaseModel):
    """An Open Inference Protocol answer."""

    model_name: str
    model_version: str
    id: str | None
    outputs: list[OutputTensor]


@app.post("/infer")
async def infer(request: Request) -> Answer:
    """Predict, without counters, log or limits."""
    tensor = request.inputs[0]
    rows = np.asarray(tensor.data, np.float32).reshape(tensor.shape)
    labels, probabilities = _session.run(None, {tensor.name: rows})
    return Answer(
        model_name="tiny",
        model_version="1",
        id=request.id,
        outputs=[
            OutputTensor(
                name="label",
                shape=list(labels.shape),
                datatype="INT64",
                data=labels.ravel().tolist(),
            ),
            OutputTensor(
                name="probabilities",
                shape=list(probabilities.shape),
                datatype="FP32",
                data=probabilities.ravel().tolist(),
            ),
        ],
    )
