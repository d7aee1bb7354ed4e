"""Open Inference Protocol v2: requests for rows and the answers' columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def request(rows: NDArray[np.float32], name: str = "input") -> bytes:
    """JSON body that asks for a prediction of each row; shape (rows, features)."""
    tensor = {
        "name": name,
        "datatype": "FP32",
        "shape": list(rows.shape),
        "data": [float(x) for x in rows.ravel()],
    }
    return json.dumps({"inputs": [tensor]}).encode()


def output(answer: dict[str, Any], name: str) -> NDArray[np.float64]:
    """One output tensor of an answer in its shape."""
    tensor = next(o for o in answer["outputs"] if o["name"] == name)
    return np.asarray(tensor["data"], dtype=np.float64).reshape(tensor["shape"])
