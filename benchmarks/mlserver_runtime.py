"""The same model in MLServer: its codec for arrays, in its own process.

Runs in the environment of requirements-mlserver.txt.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):  # type: ignore[misc]
    """Predicts, without limits or a log."""

    async def load(self) -> bool:
        """Open the session."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            Path(os.environ["BENCHMARK_MODEL"]) / "model.onnx",
            options,
            providers=["CPUExecutionProvider"],
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        tensor = payload.inputs[0]
        rows = NumpyCodec.decode_input(tensor).astype(np.float32, copy=False)
        labels, probabilities = self._session.run(None, {tensor.name: rows})
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version="1",
            outputs=[
                NumpyCodec.encode_output("label", labels),
                NumpyCodec.encode_output("probabilities", probabilities),
            ],
        )
