"""TensorFlow Serving's pages of a model: its versions' state, and its signature."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from model_server.endpoint import Endpoint
from model_server.tensor import Tensor

PREFIX = "/v1/models/"
PATH = re.compile(r"/v1/models/([^/:]*)(?:/versions/([^/:]*))?(/metadata)?")
_TYPES = {
    "BF16": "DT_BFLOAT16",
    "BOOL": "DT_BOOL",
    "BYTES": "DT_STRING",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
}
"""TensorFlow's names of datatypes, where they are not DT_ and the protocol's."""


def status(endpoints: Iterable[Endpoint], *, is_ready: bool) -> dict[str, Any]:
    """Return the state of each version."""
    state = "AVAILABLE" if is_ready else "UNLOADING"
    return {
        "model_version_status": [
            {
                "version": endpoint.manifest.version,
                "state": state,
                "status": {"error_code": "OK", "error_message": ""},
            }
            for endpoint in endpoints
        ]
    }


def metadata(endpoint: Endpoint) -> dict[str, Any]:
    """Return what is known of the signature that is served."""
    manifest = endpoint.manifest
    signature = {
        "inputs": {tensor.name: _tensor(tensor) for tensor in manifest.inputs},
        "outputs": {tensor.name: _tensor(tensor) for tensor in manifest.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {
            "name": manifest.name,
            "signature_name": "",
            "version": manifest.version,
        },
        "metadata": {
            "signature_def": {"signature_def": {manifest.signature: signature}}
        },
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "dtype": _TYPES.get(tensor.datatype, f"DT_{tensor.datatype}"),
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in tensor.shape],
            "unknown_rank": False,
        },
        "name": tensor.name,
    }
