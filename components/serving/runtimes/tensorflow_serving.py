"""TensorFlow Serving: rendered and checked against its protobufs, not run here.

Its model versions are numbered folders. Exactly one is pinned, so that an upload is not
a release. Labels of versions are not used: they do not work over REST, and setting one
before its version is loaded ends the server. The route selects the version.
https://github.com/tensorflow/serving/issues/1555
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from components.serving.runtimes import text_proto
from components.serving.runtimes.base import FILES_FOLDER, Program, Runtime
from components.serving.runtimes.facts import Facts, methods
from components.serving.runtimes.runtime_metrics import (
    MICROSECONDS,
    RuntimeMetrics,
    Timing,
)
from components.serving.settings.gpu_settings import Gpus
from components.serving.settings.replica_args import ReplicaArgs
from components.setting_types import Whole
from components.settings import Problem, Settings

GRPC_PORT, REST_PORT = 8500, 8501
METRICS_PATH = "/monitoring/prometheus/metrics"
BINARY = "/usr/bin/tensorflow_model_server"
SERVER_FAULTS = (
    "ABORTED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
    "UNKNOWN",
)
"""Codes that are not the client's fault; its counter has the code, not HTTP's status.
https://github.com/tensorflow/serving/blob/master/tensorflow_serving/servables/tensorflow/util.cc"""
_LOG_LEVELS = {"debug": "0", "info": "0", "warning": "1", "error": "2"}

METRICS = RuntimeMetrics(
    ready="up{$s}",
    requests=":tensorflow:serving:request_count{$s}",
    errors=f':tensorflow:serving:request_count{{$s,status=~"{"|".join(SERVER_FAULTS)}"}}',
    latency=Timing(
        ":tensorflow:serving:request_latency", "histogram", per_second=MICROSECONDS
    ),
    queue=Timing(
        ":tensorflow:serving:batching_session:queuing_latency",
        "histogram",
        per_second=MICROSECONDS,
    ),
    absent={
        "model_inflight": "it counts requests when they end",
        "model_saturation": "it has no bound that a share could be taken of",
        "model_latency_seconds_bucket": "its buckets are in microseconds, and a rule "
        "cannot change a bucket's bound; sum, count and the percentile are recorded",
        "model_queue_seconds_bucket": "as above; and it measures the wait only with "
        "batching",
    },
)
FACTS = Facts(
    http=REST_PORT,
    grpc=GRPC_PORT,
    # REST starts only once the pinned version is loaded, or the server has ended.
    ready="/v1/models/{model}",
    live="/v1/models/{model}",
    # The version is a part of the last step of a path (`m:predict`), so no prefix of
    # whole steps is narrower. No path below it changes the server.
    public=("/v1/models",),
    # Not tensorflow.serving.ModelService, which loads models.
    grpc_public=methods(
        "tensorflow.serving.PredictionService",
        "Classify",
        "GetModelMetadata",
        "MultiInference",
        "Predict",
        "Regress",
    ),
    metrics=METRICS,
    metrics_port=REST_PORT,
    metrics_path=METRICS_PATH,
    drains=False,
    cannot=(
        "finish requests on SIGTERM (the pod waits before it instead)",
        "speak the Open Inference Protocol",
        "report requests in flight, so it scales by CPU",
        "write the prediction log",
        "select a version by label",
    ),
)


class Batching(Settings):
    """Batching of TensorFlow Serving; it helps where requests come in parallel."""

    max_batch_rows: Annotated[Whole, Field(ge=1, le=65_536)] = 64
    """Maximum rows of a batch."""
    wait_microseconds: Annotated[Whole, Field(ge=0, le=1_000_000)] = 0
    """How long the first request may wait for others, in microseconds."""
    max_waiting_batches: Annotated[Whole, Field(ge=1, le=65_536)] = 64
    """Batches that may wait; requests beyond them are refused."""
    threads: Annotated[Whole, Field(ge=1, le=512)] = 1
    """Batches that run at the same time; about the CPUs, or 1 to 2 on a GPU."""


class TensorFlowServing(Runtime):
    """TensorFlow Serving with one pinned version of a SavedModel."""

    FACTS: ClassVar[Facts] = FACTS
    kind: Literal["tensorflow_serving"]
    """TensorFlow Serving; the model's image holds a SavedModel (saved_model.pb at its
    root)."""
    version: Annotated[Whole, Field(ge=1, le=9_223_372_036_854_775_807)] = 1
    """The model's version number in the server."""
    batching: Batching | None = None
    """Batching of requests; default: each request runs separately."""
    grpc: bool = False
    """Whether the Service also has its gRPC port, 8500."""
    gpus: Gpus | None = None
    """GPUs of a replica; none: CPU only."""

    @property
    def accelerators(self) -> Gpus | None:
        return self.gpus

    @property
    def metrics(self) -> RuntimeMetrics:
        # It measures only the wait of batches.
        return METRICS if self.batching else replace(METRICS, queue=None)

    def model_folder(self, model: str) -> str:
        return f"{super().model_folder(model)}/{self.version}"

    def files(self, model: str) -> dict[str, str]:
        found = {
            "models.config": model_config(
                model, super().model_folder(model), self.version
            ),
            "monitoring.config": monitoring_config(),
        }
        if self.batching:
            found["batching.config"] = batching_config(self.batching)
        return {f"{FILES_FOLDER}/{name}": content for name, content in found.items()}

    def program(
        self,
        model: str,  # noqa: ARG002 it is in the files
        args: ReplicaArgs,
    ) -> Program:
        milliseconds = 1000 * args.lifecycle.longest_request_seconds
        flags = {
            "port": GRPC_PORT,
            "rest_api_port": REST_PORT,
            "rest_api_timeout_in_ms": milliseconds,
            "model_config_file": f"{FILES_FOLDER}/models.config",
            "monitoring_config_file": f"{FILES_FOLDER}/monitoring.config",
            # Read once: folders that appear later are not loaded.
            "file_system_poll_wait_seconds": 0,
        }
        if self.batching:
            flags["enable_batching"] = "true"
            flags["batching_parameters_file"] = f"{FILES_FOLDER}/batching.config"
        return Program(
            # Not the image's shell script, which would hide the server's exit status.
            command=(BINARY,),
            arguments=tuple(f"--{name}={value}" for name, value in flags.items()),
            environment={"TF_CPP_MIN_LOG_LEVEL": _LOG_LEVELS[args.log_level]},
        )

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        yield from super().problems(args)
        if self.gpus:
            yield from self.gpus.room_problems(args.resources)


def model_config(model: str, folder: str, version: int) -> str:
    """ModelServerConfig of tensorflow_serving/config/model_server_config.proto."""
    config = {
        "name": model,
        "base_path": folder,
        "model_platform": "tensorflow",
        "model_version_policy": {"specific": {"versions": version}},
    }
    return text_proto.text({"model_config_list": {"config": config}})


def batching_config(batching: Batching) -> str:
    """BatchingParameters of servables/tensorflow/session_bundle_config.proto."""
    values = {
        "max_batch_size": batching.max_batch_rows,
        "batch_timeout_micros": batching.wait_microseconds,
        "max_enqueued_batches": batching.max_waiting_batches,
        "num_batch_threads": batching.threads,
    }
    return text_proto.text({name: {"value": value} for name, value in values.items()})


def monitoring_config() -> str:
    """MonitoringConfig of tensorflow_serving/config/monitoring_config.proto."""
    return text_proto.text(
        {"prometheus_config": {"enable": True, "path": METRICS_PATH}}
    )
