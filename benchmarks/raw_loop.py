"""The least any server can cost: one onnxruntime call per row, nothing around it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def main() -> None:
    """Print how many single-row calls one CPU second has room for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        Path(sys.argv[1]) / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    (tensor,) = session.get_inputs()
    row = np.zeros((1, tensor.shape[1]), np.float32)
    end = time.perf_counter() + float(sys.argv[2])
    started = time.process_time()
    calls = 0
    while time.perf_counter() < end:
        for _ in range(100):
            session.run(None, {tensor.name: row})
        calls += 100
    print(calls / (time.process_time() - started))


if __name__ == "__main__":
    main()
