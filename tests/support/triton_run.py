"""Runs tritonclient: calls come as lines of JSON, answers go the same way.

    python triton_run.py grpc|http HOST:PORT [CA.CRT]

With an authority's certificate it speaks gRPC over TLS.

Runs in the environment of requirements-triton.txt, where nothing of ours can be had.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import numpy as np

kind, address, *authority = sys.argv[1:]
library = importlib.import_module(f"tritonclient.{kind}")
tls = {"ssl": True, "root_certificates": authority[0]} if authority else {}
client = library.InferenceServerClient(url=address, **tls)


def infer(
    model: str, inputs: list[dict[str, Any]], outputs: list[str] | None, **more: Any
) -> dict[str, Any]:
    """Ask by the client's own classes; gRPC sends raw contents, HTTP binary tensors."""
    tensors = []
    for given in inputs:
        values = np.array(given["data"], given["dtype"])
        tensor = library.InferInput(given["name"], values.shape, given["datatype"])
        tensor.set_data_from_numpy(values)
        tensors.append(tensor)
    wanted = outputs and [library.InferRequestedOutput(name) for name in outputs]
    result = client.infer(model, tensors, outputs=wanted or None, **more)
    answer = (
        result.get_response(as_json=True) if kind == "grpc" else result.get_response()
    )
    arrays = {it["name"]: result.as_numpy(it["name"]) for it in answer["outputs"]}
    return {
        "id": answer.get("id", ""),
        "model_name": answer["model_name"],
        "model_version": answer["model_version"],
        "outputs": {
            name: {"dtype": array.dtype.str, "data": array.tolist()}
            for name, array in arrays.items()
        },
    }


def typed(
    model: str, inputs: list[dict[str, Any]], outputs: list[str], version: str = ""
) -> dict[str, Any]:
    """Ask by the client's generated messages with typed contents."""
    from google.protobuf import json_format
    from tritonclient.grpc import service_pb2

    request = service_pb2.ModelInferRequest(
        model_name=model,
        model_version=version,
        inputs=[
            service_pb2.ModelInferRequest.InferInputTensor(
                name=given["name"],
                datatype=given["datatype"],
                shape=given["shape"],
                contents={given["field"]: given["data"]},
            )
            for given in inputs
        ],
        outputs=[
            service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name)
            for name in outputs
        ],
    )
    answer = client._client_stub.ModelInfer(request, timeout=10)
    found: dict[str, Any] = json_format.MessageToDict(
        answer, preserving_proto_field_name=True
    )
    return found


def fields() -> dict[str, dict[str, tuple[int, int, bool]]]:
    """Number, type and repetition of each field of each message, by short names."""
    from tritonclient.grpc import service_pb2

    found = {}
    waiting = list(service_pb2.DESCRIPTOR.message_types_by_name.values())
    while waiting:
        message = waiting.pop()
        waiting += message.nested_types
        found[message.name] = {
            field.name: (field.number, field.type, field.is_repeated)
            for field in message.fields
        }
    return found


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked.pop("call")
        call = {"infer": infer, "typed": typed, "fields": fields}.get(name)
        try:
            answer = {"result": (call or getattr(client, name))(**asked)}
        except Exception as error:  # noqa: BLE001, the other side is told
            answer = {"error": describe(error)}
        print(json.dumps(answer, default=plain), flush=True)


def describe(error: Any) -> tuple[str, str]:
    """Status and message of what the client raised."""
    import grpc

    if isinstance(error, grpc.RpcError):
        return str(error.code()), str(error.details())
    if hasattr(error, "status"):
        return str(error.status()), str(error.message())
    return type(error).__name__, str(error)


def plain(value: Any) -> Any:
    """Make JSON of what the client gives: protobuf messages, bytes."""
    if isinstance(value, bytes):
        return value.decode()
    from google.protobuf import json_format

    return json_format.MessageToDict(value, preserving_proto_field_name=True)


main()
