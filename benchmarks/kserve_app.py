"""The same model by KServe's SDK: protocol v2 over HTTP, one process.

Runs in the environment of requirements-kserve.txt:

    python kserve_app.py PORT
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Tiny(Model):  # type: ignore[misc]
    """Predicts, without limits or a log."""

    def __init__(self) -> None:
        super().__init__("tiny")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            Path(os.environ["BENCHMARK_MODEL"]) / "model.onnx",
            options,
            providers=["CPUExecutionProvider"],
        )
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Answer one request."""
        tensor = payload.inputs[0]
        found = self._session.run(None, {tensor.name: tensor.as_numpy()})
        outputs = []
        kinds = (("label", "INT64"), ("probabilities", "FP32"))
        for (name, datatype), array in zip(kinds, found, strict=True):
            output = InferOutput(name, list(array.shape), datatype)
            output.set_data_from_numpy(array, binary_data=False)
            outputs.append(output)
        return InferResponse(payload.id or "", "tiny", outputs)


logging.disable(logging.INFO)
ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1).start([Tiny()])
