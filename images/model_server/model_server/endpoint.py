"""One model with all that its requests need."""

from __future__ import annotations

from model_server.batching import Batcher
from model_server.config import Config
from model_server.http import JSON, Headers
from model_server.metrics import ModelMetrics
from model_server.model import RUNTIME, Model
from model_server.protocol import Reader, Writer
from model_server.records import RecordForm


class Endpoint:
    """A model, its reader, batcher, writer, counters and form of log records."""

    def __init__(self, model: Model, config: Config, *, inline_rows: int) -> None:
        manifest = model.manifest
        revision = config.revision or manifest.revision
        self.manifest = manifest
        self.revision = revision
        self.metrics = ModelMetrics(
            {
                "model": manifest.name,
                "revision": revision,
                "runtime": RUNTIME,
                "namespace": config.namespace,
                "arm": config.arm,
            },
            manifest.version,
        )
        self.reader = Reader(manifest, config.max_request_rows)
        self.writer = Writer(manifest)
        self.form = RecordForm(manifest, revision, config.arm)
        self.batcher = Batcher(
            model,
            self.metrics,
            max_batch_rows=config.max_batch_rows,
            max_queue_rows=config.max_queue_rows,
            inline_rows=inline_rows,
        )
        self.headers: Headers = [
            JSON,
            (b"x-model-revision", revision.encode()),
            (b"x-model-version", manifest.version.encode()),
        ]

    @property
    def paths(self) -> tuple[str, str]:
        """The protocol's paths of the model, without and with its version."""
        path = f"/v2/models/{self.manifest.name}"
        return path, f"{path}/versions/{self.manifest.version}"

    def metadata(self) -> dict[str, object]:
        return {
            "name": self.manifest.name,
            "versions": [self.manifest.version],
            "platform": "onnxruntime_onnx",
            "inputs": [tensor.metadata() for tensor in self.manifest.inputs],
            "outputs": [tensor.metadata() for tensor in self.manifest.outputs],
            "parameters": {
                "revision": self.revision,
                "features": list(self.manifest.features),
            },
        }
