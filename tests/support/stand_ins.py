"""SavedModels without TensorFlow: a function stands for what evaluates them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]
Evaluate = Callable[[Columns], Mapping[str, NDArray[Any]]]


class StandIn:
    """The model server in this process, with models of the format `savedmodel`."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._evaluators: dict[Path, Evaluate] = {}
        patch.setattr("model_server.service.load_models", self._load)

    def add(self, evaluate: Evaluate, version: str = "1", **content: Any) -> None:
        """Add a model folder; `content` is its model.yaml's."""
        path = self.folder / f"{content['name']}-{version}"
        path.mkdir()
        whole = {"version": version, "revision": f"r{version}", "format": "savedmodel"}
        (path / "model.yaml").write_text(yaml.safe_dump(whole | content))
        self._evaluators[path] = evaluate

    def _load(self, folder: Path, threads: int) -> list[Any]:
        from model_server.manifest import read_manifest
        from model_server.model import Model

        found = []
        for path, evaluate in self._evaluators.items():
            manifest = read_manifest(path / "model.yaml")
            found.append(Model(manifest, _runner(manifest, evaluate), path))
        return found

    def ask(self, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
        """Send requests of method, path, and what httpx takes; return the answers."""
        return asyncio.run(self._ask(requests))

    async def _ask(
        self, requests: Sequence[tuple[str, str, Any]]
    ) -> list[httpx.Response]:
        from model_server.app import App
        from model_server.config import read
        from model_server.service import Service

        settings = {"MODELS": str(self.folder), "PREDICTION_LOG": ""}
        settings |= {"MAX_BATCH_ROWS": "4", "MAX_REQUEST_ROWS": "8"}
        config = read({f"MODEL_SERVER_{key}": text for key, text in settings.items()})
        service = Service(config, None)
        transport = httpx.ASGITransport(App(service))
        client = httpx.AsyncClient(transport=transport, base_url="http://server")
        async with client:
            before = await client.get("/v1/models/any")
            assert (before.status_code, set(before.json())) == (503, {"error"})
            await service.load()
            try:
                return [
                    await client.request(method, path, **more)
                    for method, path, more in requests
                ]
            finally:
                service.close(1.0)


def _runner(manifest: Any, evaluate: Evaluate) -> Any:
    from model_server.buffers import as_array

    def run(buffers: Sequence[Any]) -> list[NDArray[Any]]:
        pairs = zip(manifest.inputs, buffers, strict=True)
        found = evaluate({it.name: as_array(it, buffer) for it, buffer in pairs})
        return [np.asarray(found[it.name]) for it in manifest.outputs]

    return run
