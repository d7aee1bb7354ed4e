"""Asks by the clients that users bring; prints what each got, as one JSON object.

    python client_run.py URL GRPC_ADDRESS < {"rows": [[...]], "model": name}

Without GRPC_ADDRESS only the clients of HTTP ask. Runs in the environment of
requirements-clients.txt, where nothing of ours can be had. There kserve and mlserver
lack most of what their servers need, so only their clients' modules are imported.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import types
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import numpy as np
import requests

TIMEOUT = 60.0


def _bare(name: str) -> None:
    """Let a package's modules be imported without its own `__init__`."""
    found = importlib.util.find_spec(name)
    assert found is not None
    module = types.ModuleType(name)
    module.__path__ = list(found.submodule_search_locations or ())
    sys.modules[name] = module


_bare("kserve")
_bare("mlserver")

from kserve.inference_client import (  # noqa: E402
    InferenceGRPCClient,
    InferenceRESTClient,
    RESTConfig,
)
from kserve.protocol.infer_type import (  # noqa: E402
    InferInput,
    InferRequest,
    RequestedOutput,
)
from mlserver.types import (  # noqa: E402
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    RequestOutput,
)

url, grpc_address = sys.argv[1], (*sys.argv[2:], "")[0]
asked = json.load(sys.stdin)
rows = np.array(asked["rows"], np.float32)
model: str = asked["model"]
path = f"{url}/v2/models/{model}/infer"
tensor = {
    "name": "X",
    "shape": list(rows.shape),
    "datatype": "FP32",
    "data": rows.ravel().tolist(),
}
body = {"inputs": [tensor]}


def by_requests() -> Any:
    return requests.post(path, json=body, timeout=TIMEOUT).json()


def by_httpx() -> Any:
    return httpx.post(path, json=body, timeout=TIMEOUT).json()


def by_aiohttp() -> Any:
    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            return await (await session.post(path, json=body)).json()

    return asyncio.run(ask())


def mlserver(request: InferenceRequest, **dump: bool) -> Any:
    """Send as MLServer's documentation has it; its own types read the answer."""
    text = request.model_dump_json(**dump)
    headers = {"content-type": "application/json"}
    answer = requests.post(path, data=text, headers=headers, timeout=TIMEOUT)
    if not answer.ok:
        return answer.json()
    return json.loads(
        InferenceResponse.model_validate_json(answer.text).model_dump_json()
    )


def by_mlserver_types() -> Any:
    request = InferenceRequest(
        parameters=Parameters(content_type="np"),
        inputs=[RequestInput(**tensor, parameters=Parameters(content_type="np"))],
    )
    return mlserver(request)


def by_mlserver_types_with_nulls() -> Any:
    """What pydantic writes by itself: every optional member as null."""
    request = InferenceRequest(
        inputs=[RequestInput(**tensor, parameters=Parameters())],
        outputs=[RequestOutput(name=it) for it in ("label", "probabilities")],
    )
    return mlserver(request, exclude_none=False, exclude_unset=False)


def kserve_request(*, binary: bool, of: str = model) -> InferRequest:
    values = InferInput("X", list(rows.shape), "FP32")
    values.set_data_from_numpy(rows, binary_data=binary)
    outputs = [
        RequestedOutput(it, {"binary_data": True}) for it in ("label", "probabilities")
    ]
    return InferRequest(
        model_name=of,
        infer_inputs=[values],
        request_outputs=outputs if binary else None,
    )


def kserve_rest(request: InferRequest) -> Any:
    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=TIMEOUT))
        try:
            assert await client.is_server_live(url)
            assert await client.is_server_ready(url)
            assert await client.is_model_ready(url, model)
            return plain(await client.infer(url, request, model_name=model))
        finally:
            await client.close()

    return asyncio.run(ask())


def by_kserve_rest() -> Any:
    return kserve_rest(kserve_request(binary=False))


def by_kserve_rest_binary() -> Any:
    return kserve_rest(kserve_request(binary=True))


def by_kserve_rest_of_another_model() -> Any:
    return kserve_rest(kserve_request(binary=False, of="another"))


def kserve_grpc(*, binary: bool) -> Any:
    async def ask() -> Any:
        async with InferenceGRPCClient(grpc_address) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(model)
            return plain(await client.infer(kserve_request(binary=binary)))

    return asyncio.run(ask())


def by_kserve_grpc() -> Any:
    return kserve_grpc(binary=False)


def by_kserve_grpc_binary() -> Any:
    return kserve_grpc(binary=True)


def plain(response: Any) -> Any:
    """Return KServe's response as the protocol's JSON has it."""
    return {
        "model_name": response.model_name,
        "outputs": [
            {"name": it.name, "data": it.as_numpy().ravel().tolist()}
            for it in response.outputs
        ],
    }


def attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001, the other side is told
        return {"error": f"{type(error).__name__}: {error}"}


calls = {
    name.removeprefix("by_"): value
    for name, value in list(globals().items())
    if name.startswith("by_") and (grpc_address or "grpc" not in name)
}
print(json.dumps({name: attempt(call) for name, call in calls.items()}))
