"""vLLM for large language models: rendered, planned by the catalogue, not run here.

Names of flags and metrics are those of one release, read in its wheel on PyPI (vllm
0.33.0, 2026-11). They change between releases, and autoscaler and alerts would not work
without their series.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from components.serving.runtimes import vllm_plan
from components.serving.runtimes.base import Program, Runtime
from components.serving.runtimes.facts import Facts
from components.serving.runtimes.runtime_metrics import RuntimeMetrics, Timing
from components.serving.runtimes.vllm_settings import LlmGpus, Weights, address
from components.setting_types import Decimal, Whole
from components.settings import ABSENT, Problem

if TYPE_CHECKING:
    from components.serving.settings.gpu_settings import Gpus
    from components.serving.settings.replica_args import ReplicaArgs

PORT = 8000
KV_CACHE = "vllm:kv_cache_usage_perc"
RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
SHARED_MIB = 2048
"""Its workers communicate through /dev/shm; more with tensor parallelism.
https://docs.vllm.ai/en/latest/deployment/docker.html"""

METRICS = RuntimeMetrics(
    ready="up{$s}",
    requests='http_requests_total{$s,handler=~"/v1/.*"}',
    errors='http_requests_total{$s,handler=~"/v1/.*",status="5xx"}',
    inflight=f'{{__name__=~"{RUNNING}|{WAITING}",$s}}',
    saturation=f"{KV_CACHE}{{$s}}",
    latency=Timing("vllm:e2e_request_latency_seconds"),
    queue=Timing("vllm:request_queue_time_seconds"),
)
FACTS = Facts(
    http=PORT,
    ready="/health",
    live="/health",
    # Not all of /v1: adapters are loaded below it, if that is enabled.
    public=(
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/responses",
    ),
    metrics=METRICS,
    metrics_port=PORT,
    streams=True,
    scratch_mib=8192,
    cannot=(
        "run without a GPU",
        "go on answering after SIGTERM (the pod waits before it instead)",
        "write the prediction log",
        "spread one replica over several nodes",
        "share a GPU with other replicas",
        "speak gRPC or the Open Inference Protocol",
    ),
)


class Vllm(Runtime):
    """vLLM with one model on the GPUs of one node."""

    FACTS: ClassVar[Facts] = FACTS
    kind: Literal["vllm"]
    """vLLM; the model's image, or `weights_url`, holds a model in the Hugging Face
    layout (config.json, tokenizer, safetensors)."""
    engine: Literal["0.33"] = "0.33"
    """Release of vLLM in the image. Flags and names of metrics are pinned to it."""
    gpus: LlmGpus
    """The nodes, and how the model is sharded over their GPUs."""
    parameters_billions: Annotated[Decimal, Field(gt=0, le=10_000)]
    """Parameters of the model, in billions; for a mixture of experts, all of them."""
    dtype: Weights = "bfloat16"
    """Data type of the parameters; it must match the model's files."""
    gpu_memory_percent: Annotated[Whole, Field(ge=10, le=98)] = 90
    """Share of each GPU's memory that weights, activations and cache may take."""
    max_model_tokens: Annotated[Whole, Field(ge=16, le=100_000_000)] | None = None
    """Maximum length of prompt and answer together; default: the model's own limit."""
    max_running_requests: Annotated[Whole, Field(ge=1, le=65_536)] = 256
    """Requests that are generated at the same time."""
    weights_url: Annotated[str, AfterValidator(address)] | None = None
    """Location from which weights are streamed instead of an image, such as
    s3://bucket/path/revision: a path whose content never changes. The pod reads it with
    the role of its service account, which has the server's name."""
    kv_cache_percent: Annotated[Whole, Field(ge=10, le=100)] = 75
    """Target share of the KV cache in use in each replica, in addition to requests in
    flight, with `scaling.signal: inflight`."""

    def contradictions(self) -> Iterator[Problem]:
        """Report weights that do not fit on the GPUs."""
        yield from vllm_plan.problems(
            self.gpus,
            weights_gib=vllm_plan.weights_gib(self.parameters_billions, self.dtype),
            memory_percent=self.gpu_memory_percent,
        )
        yield from vllm_plan.unsupported(self.gpus, self.dtype)

    @property
    def accelerators(self) -> Gpus | None:
        return self.gpus

    @property
    def shared_memory_mib(self) -> int:
        return SHARED_MIB * self.gpus.replica_gpus

    @property
    def pull_seconds(self) -> int:
        return 0 if self.weights_url else self._read_seconds

    @property
    def _read_seconds(self) -> int:
        size = vllm_plan.weights_gib(self.parameters_billions, self.dtype)
        return math.ceil(size * vllm_plan.SECONDS_PER_GIB)

    @property
    def weights(self) -> str:
        return self.weights_url or ""

    def scaling_triggers(self, selector: str) -> list[tuple[str, float]]:
        # A sum, which the autoscaler divides by replicas: the average of their shares.
        return [(f"sum({KV_CACHE}{{{selector}}})", self.kv_cache_percent / 100)]

    def program(self, model: str, args: ReplicaArgs) -> Program:
        flags: dict[str, object] = {
            "served-model-name": model,
            "port": PORT,
            "tensor-parallel-size": self.gpus.tensor_parallel_gpus,
            "pipeline-parallel-size": self.gpus.pipeline_parallel_stages,
            "gpu-memory-utilization": f"{self.gpu_memory_percent / 100:g}",
            "max-num-seqs": self.max_running_requests,
            "shutdown-timeout": args.lifecycle.drain_seconds,
        }
        if self.dtype in vllm_plan.COMPUTED_IN:
            flags["dtype"] = self.dtype
        if self.max_model_tokens:
            flags["max-model-len"] = self.max_model_tokens
        if self.weights_url:
            flags["load-format"] = "runai_streamer"
        return Program(
            command=("vllm", "serve", self.weights_url or self.model_folder(model)),
            arguments=tuple(f"--{name}={value}" for name, value in flags.items()),
            environment={
                # The root is read-only, and nothing is downloaded without a request.
                "HOME": "/tmp",  # noqa: S108 the pod's own
                "HF_HUB_OFFLINE": "1",
                # Caches are named after the user, who has no entry in the image.
                "USER": "model",
                "VLLM_CACHE_ROOT": "/tmp/vllm",  # noqa: S108
                "VLLM_LOGGING_LEVEL": args.log_level.upper(),
                "VLLM_NO_USAGE_STATS": "1",
            },
        )

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        yield from super().problems(args)
        yield from self.gpus.room_problems(args.resources)
        if self.weights_url and args.model_image:
            yield Problem(
                "model_image",
                args.model_image,
                "weights are streamed from runtime.weights_url",
                "set only one of the two",
            )
        yield from _scaling(args)
        needed = self._read_seconds + vllm_plan.ENGINE_SECONDS
        if args.lifecycle.startup_seconds < needed:
            yield Problem(
                "lifecycle.startup_seconds",
                args.lifecycle.startup_seconds,
                f"reading the weights may take {self._read_seconds} s and starting the "
                f"engine {vllm_plan.ENGINE_SECONDS} s; the pod would be killed first",
                f"give at least {needed}",
            )
        if self.shared_memory_mib >= args.resources.memory_limit_mib:
            yield Problem(
                "resources.memory_limit_mib",
                args.resources.memory_limit_mib,
                f"shared memory may take {self.shared_memory_mib} MiB of it",
                f"give well over {self.shared_memory_mib}: weights are loaded through "
                "memory",
            )


def _scaling(args: ReplicaArgs) -> Iterator[Problem]:
    scaling = args.scaling
    if scaling.signal == "cpu" and scaling.min_replicas != scaling.max_replicas:
        yield Problem(
            "scaling.signal",
            scaling.signal if "signal" in scaling.model_fields_set else ABSENT,
            "CPU use does not show how busy an engine on GPUs is",
            "set signal: inflight, or make max_replicas equal to min_replicas",
        )
