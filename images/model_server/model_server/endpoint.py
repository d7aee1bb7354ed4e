"""One model with all that its requests need."""

from __future__ import annotations

import copy

from model_server.apart import ApartBatcher
from model_server.batching import Batcher
from model_server.binary import BinaryWriter, RawReader
from model_server.config import Config
from model_server.errors import RequestError
from model_server.formats import FORMATS, SAVED_MODEL
from model_server.hash_key import read_hash_key
from model_server.http import JSON, Fields, Headers
from model_server.manifest import Manifest
from model_server.metrics import ModelMetrics
from model_server.predict import PredictReader
from model_server.preparation import Prepared
from model_server.protocol import Reader, Writer
from model_server.records import RecordForm
from model_server.units import units

SHADOW = "shadow"
"""The arm of records of copied requests (contracts/prediction_record.yaml)."""


class Endpoint:
    """A model, its reader, batcher, writer, counters and form of log records."""

    def __init__(
        self,
        prepared: Prepared,
        config: Config,
        *,
        revision: str,
        runtime: str = "",
    ) -> None:
        manifest = prepared.model.manifest
        self.manifest = manifest
        self.revision = revision
        self.versions = [manifest.version]
        self.by_revision = {revision: self}
        self.evaluator = prepared.model.evaluator
        self.metrics = metrics_of(manifest, config, revision, runtime)
        self.metrics.evaluator = self.evaluator
        self.max_request_rows = config.max_request_rows
        self.reader: Reader | PredictReader = Reader(manifest, config.max_request_rows)
        self.predict_reader = (
            PredictReader(manifest, config.max_request_rows)
            if manifest.format == SAVED_MODEL
            else None
        )
        self.raw_reader = RawReader(manifest, config.max_request_rows)
        self.writer = Writer(manifest)
        self.binary_writer = BinaryWriter(manifest)
        key = config.prediction_log_hash_key_file
        hash_key = read_hash_key(key) if key else b""
        self.form = RecordForm(manifest, revision, config.arm, hash_key)
        self.unit_of = units(config.prediction_log_unit_header, hash_key)
        self.batcher = _batcher(prepared, self.metrics, config)
        # Only a revision that the settings name gets copies.
        is_named = config.revision and revision == config.revision
        self._copied_as = config.revision.encode() if is_named else None
        self._copies = RecordForm(
            manifest, revision, SHADOW, read_hash_key(key) if key else b""
        )
        self.headers: Headers = [
            JSON,
            (b"x-model-revision", revision.encode()),
            (b"x-model-version", manifest.version.encode()),
        ]

        # For a response with 200; `%` fills in the request's id and the length.
        fixed = b"".join(b"%b: %b\r\n" % header for header in self.headers)
        self.head = (
            fixed.replace(b"%", b"%%") + b"x-request-id: %b\r\ncontent-length: %d\r\n"
        )

    @property
    def path(self) -> str:
        """The protocol's path of this version of the model."""
        return f"/v2/models/{self.manifest.name}/versions/{self.manifest.version}"

    def of_revision(self, revision: str) -> Endpoint:
        """Return the model's version of a revision; raise 404 naming the known ones."""
        found = self.by_revision.get(revision)
        if found is None:
            raise RequestError(
                404,
                "unknown_revision",
                f"{self.manifest.name} has no revision {revision[:128]!r} here; there "
                f"is {', '.join(self.by_revision)}",
            )
        return found

    def of_request(self, fields: Fields) -> Endpoint:
        """Return the endpoint of the revision that a request names, or of its copy.

        A copied request, whose answer nobody gets, may name the revision that answers
        its caller. The request and its copy have one header that says who gets copies;
        only the copy comes here. An empty revision is a client's mistake: whoever pins
        one means one.
        """
        copied_to = fields.get(b"x-model-shadow")
        if copied_to is not None and copied_to == self._copied_as:
            same = copy.copy(self)
            same.form = self._copies
            return same
        if (revision := fields.get(b"x-model-revision")) is None:
            return self
        found = self.of_revision(revision.decode("latin-1"))
        return found.predicting() if self.is_predict else found

    @property
    def is_predict(self) -> bool:
        """Whether its requests are TensorFlow Serving's."""
        return self.reader is self.predict_reader

    def predicting(self) -> Endpoint:
        """Return the same endpoint for requests of TensorFlow Serving's REST.

        Raises 404 where the model has none: it is not a SavedModel.
        """
        if self.predict_reader is None:
            raise RequestError(
                404,
                "not_found",
                f"{self.manifest.name} {self.manifest.version} is not a SavedModel; "
                f"its path is {self.path}/infer",
            )
        same = copy.copy(self)
        same.reader = self.predict_reader
        return same

    def pinned(self) -> Endpoint:
        """Return the same endpoint as one from which no revision picks another."""
        same = copy.copy(self)
        same.by_revision = {self.revision: self}
        return same

    def log_fields(self, request_id: str) -> dict[str, str]:
        """Return what a line of the log about a request of this model begins with."""
        named = {"model": self.manifest.name, "revision": self.revision}
        return {"request_id": request_id, **named}

    def metadata(self) -> dict[str, object]:
        return {
            "name": self.manifest.name,
            "versions": self.versions,
            "platform": FORMATS[self.manifest.format].platform,
            "inputs": [tensor.metadata() for tensor in self.manifest.inputs],
            "outputs": [tensor.metadata() for tensor in self.manifest.outputs],
            "parameters": {
                "revision": self.revision,
                "features": list(self.manifest.features),
                "evaluator": self.evaluator,
            },
        }


def metrics_of(
    manifest: Manifest, config: Config, revision: str, runtime: str
) -> ModelMetrics:
    """Return new counters of a model; `runtime` is the server's, if it has one."""
    return ModelMetrics(
        {
            "model": manifest.name,
            "revision": revision,
            "runtime": runtime or FORMATS[manifest.format].runtime,
            "namespace": config.namespace,
            "arm": config.arm,
        },
        manifest.version,
    )


def _batcher(prepared: Prepared, metrics: ModelMetrics, config: Config) -> Batcher:
    if prepared.runs_apart:
        return ApartBatcher(
            prepared.model,
            metrics,
            prepared.run_time,
            max_request_rows=config.max_request_rows,
            max_queue_rows=config.max_queue_rows,
            max_queue_bytes=config.max_buffered_bytes,
            max_wait_seconds=config.max_wait_seconds,
        )
    return Batcher(
        prepared.model,
        metrics,
        prepared.run_time,
        max_batch_rows=config.max_batch_rows,
        max_queue_rows=config.max_queue_rows,
        max_queue_bytes=config.max_buffered_bytes,
        max_wait_seconds=config.max_wait_seconds,
    )
