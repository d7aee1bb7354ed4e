"""NVIDIA Triton: rendered and checked against its protobufs, not run here.

It uses explicit model control: it loads only the model that is named at the start, and
the methods that load others at run time are not public.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from components.serving.runtimes import text_proto
from components.serving.runtimes.base import MODELS_FOLDER, Program, Runtime
from components.serving.runtimes.facts import OPEN_INFERENCE, Facts, methods
from components.serving.runtimes.runtime_metrics import (
    MICROSECONDS,
    RuntimeMetrics,
    Timing,
)
from components.serving.runtimes.triton_settings import DynamicBatching, Tensor
from components.serving.settings.gpu_settings import Gpus
from components.serving.settings.replica_args import ReplicaArgs
from components.setting_types import Whole
from components.settings import ABSENT, Problem

HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002
BINARY = "/opt/tritonserver/bin/tritonserver"
PYTHON_SHARED_MIB = 256
"""The Python backend passes tensors through /dev/shm, which it may enlarge.
https://github.com/triton-inference-server/python_backend#customization"""
NAMES_ITS_TENSORS = ("onnxruntime", "openvino", "python", "tensorrt")
"""Backends whose models declare their inputs and outputs themselves.
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md"""

METRICS = RuntimeMetrics(
    ready="up{$s}",
    requests='{__name__=~"nv_inference_request_success|nv_inference_request_failure",$s}',
    # A client that disconnects before the response is not the server's failure.
    errors='nv_inference_request_failure{$s,reason!="CANCELED"}',
    latency=Timing("nv_inference_request_summary_us", "summary", MICROSECONDS),
    queue=Timing("nv_inference_queue_summary_us", "summary", MICROSECONDS),
    absent={
        "model_inflight": "nv_inference_pending_request_count has only those that wait",
        "model_saturation": "the use of a GPU tells nothing of what a replica could "
        "still take",
        "model_latency_seconds_bucket": "it has percentiles (summaries), not buckets; "
        "of several replicas the worst one is recorded",
        "model_queue_seconds_bucket": "as above",
    },
)
FACTS = Facts(
    http=HTTP_PORT,
    grpc=GRPC_PORT,
    ready="/v2/health/ready",
    live="/v2/health/live",
    # Not all of /v2: /v2/repository loads models, and trace/setting writes files.
    public=("/v2/models/{model}/infer", "/v2/models/{model}/ready", "/v2/health"),
    # The gRPC service has the same methods; a stream would exceed every request limit.
    grpc_public=methods(
        OPEN_INFERENCE, "ModelInfer", "ModelReady", "ServerLive", "ServerReady"
    ),
    metrics=METRICS,
    metrics_port=METRICS_PORT,
    scratch_mib=64,
    cannot=(
        "go on answering after SIGTERM (the pod waits before it instead)",
        "report requests in flight, so it scales by CPU",
        "write the prediction log",
        "have its metadata or model control reached from outside",
        "share a GPU with other replicas",
    ),
)
_LOGGED = {
    "debug": ("verbose=1", "info=true", "warning=true"),
    "info": ("verbose=0", "info=true", "warning=true"),
    "warning": ("verbose=0", "info=false", "warning=true"),
    "error": ("verbose=0", "info=false", "warning=false"),
}


class Triton(Runtime):
    """NVIDIA Triton with one model of one version."""

    FACTS: ClassVar[Facts] = FACTS
    kind: Literal["triton"]
    """NVIDIA Triton; the model's image holds what a version's folder holds, such as
    model.onnx or model.plan."""
    backend: Literal["onnxruntime", "openvino", "python", "pytorch", "tensorrt"]
    """Triton backend that runs the model."""
    version: Annotated[Whole, Field(ge=1, le=9_223_372_036_854_775_807)] = 1
    """The model's version number in the server."""
    max_batch_rows: Annotated[Whole, Field(ge=0, le=65_536)] = 64
    """Maximum rows of a batch; 0 for a model without a batch dimension."""
    batching: DynamicBatching | None = DynamicBatching()
    """Dynamic batching; default: each request runs separately."""
    model_instances: Annotated[Whole, Field(ge=1, le=64)] = 1
    """Copies of the model, on each GPU or on the CPUs, that run at the same time."""
    inputs: tuple[Tensor, ...] = ()
    """Inputs; only for backends whose models do not name them."""
    outputs: tuple[Tensor, ...] = ()
    """Outputs, for the same backends."""
    grpc: bool = False
    """Whether the Service also has its gRPC port, 8001."""
    gpus: Gpus | None = None
    """GPUs of a replica; none: CPU only."""

    def contradictions(self) -> Iterator[Problem]:
        """Report settings that Triton would reject when it loads the model."""
        if self.backend not in NAMES_ITS_TENSORS:
            for name in ("inputs", "outputs"):
                if not getattr(self, name):
                    yield Problem(
                        name,
                        ABSENT,
                        f"a model for {self.backend} does not declare its own",
                        "give name, datatype and dims of each",
                    )
        yield from self._twice()
        if self.batching and not self.max_batch_rows:
            yield Problem(
                "max_batch_rows",
                0,
                "without a batch dimension requests cannot be batched",
                "give at least 2, or batching: null",
            )
        preferred = self.batching.preferred_rows if self.batching else ()
        for index, rows in enumerate(preferred):
            if rows > self.max_batch_rows:
                yield Problem(
                    f"batching.preferred_rows.{index}",
                    rows,
                    f"it is more than max_batch_rows, which is {self.max_batch_rows}",
                    f"give at most {self.max_batch_rows}, or raise max_batch_rows",
                )
        if self.backend == "tensorrt" and not self.gpus:
            yield Problem(
                "gpus",
                ABSENT,
                "TensorRT runs on GPUs only",
                "give gpus.instance_types, or another backend",
            )

    def _twice(self) -> Iterator[Problem]:
        """Report two tensors of one name: a request could contain only one of them."""
        for kind in ("inputs", "outputs"):
            seen: set[str] = set()
            for index, tensor in enumerate(getattr(self, kind)):
                if tensor.name in seen:
                    yield Problem(
                        f"{kind}.{index}.name",
                        tensor.name,
                        f"another of the {kind} has the name, and Triton does not load "
                        "such a model",
                        "give each tensor its own name",
                    )
                seen.add(tensor.name)

    @property
    def accelerators(self) -> Gpus | None:
        return self.gpus

    @property
    def shared_memory_mib(self) -> int:
        return PYTHON_SHARED_MIB if self.backend == "python" else 0

    def model_folder(self, model: str) -> str:
        return f"{super().model_folder(model)}/{self.version}"

    def files(self, model: str) -> dict[str, str]:
        return {f"{super().model_folder(model)}/config.pbtxt": self.config(model)}

    def config(self, model: str) -> str:
        """ModelConfig of Triton's model_config.proto."""
        kind = text_proto.Name("KIND_GPU" if self.gpus else "KIND_CPU")
        config: dict[str, Any] = {
            "name": model,
            "backend": self.backend,
            "max_batch_size": self.max_batch_rows,
            "version_policy": {"specific": {"versions": self.version}},
            "input": [_tensor(t) for t in self.inputs],
            "output": [_tensor(t) for t in self.outputs],
            "instance_group": [{"count": self.model_instances, "kind": kind}],
        }
        if self.batching:
            config["dynamic_batching"] = _batching(self.batching)
        return text_proto.text(config)

    def program(self, model: str, args: ReplicaArgs) -> Program:
        flags = {
            "model-repository": MODELS_FOLDER,
            "model-control-mode": "explicit",
            "load-model": model,
            "strict-readiness": "true",
            "exit-on-error": "true",
            "exit-timeout-secs": args.lifecycle.drain_seconds,
            "http-port": HTTP_PORT,
            "grpc-port": GRPC_PORT,
            "metrics-port": METRICS_PORT,
            # Off by default, and its only percentiles.
            "metrics-config": "summary_latencies=true",
        }
        logged = [f"--log-{what}" for what in _LOGGED[args.log_level]]
        return Program(
            command=(BINARY,),
            arguments=(*(f"--{n}={v}" for n, v in flags.items()), *logged),
        )

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        yield from super().problems(args)
        if self.gpus:
            yield from self.gpus.room_problems(args.resources)


def _tensor(tensor: Tensor) -> Mapping[str, Any]:
    datatype = text_proto.Name(f"TYPE_{tensor.datatype}")
    return {"name": tensor.name, "data_type": datatype, "dims": tensor.dims}


def _batching(batching: DynamicBatching) -> Mapping[str, Any]:
    policy = {
        "timeout_action": text_proto.Name("REJECT"),
        "max_queue_size": batching.max_waiting_requests,
    }
    if batching.max_wait_milliseconds:
        policy["default_timeout_microseconds"] = 1000 * batching.max_wait_milliseconds
    return {
        "preferred_batch_size": batching.preferred_rows,
        "max_queue_delay_microseconds": batching.wait_microseconds,
        "default_queue_policy": policy,
    }
