"""Check that a language model's weights fit on its GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from components import catalog
from components.serving.runtimes.vllm_settings import LlmGpus, Weights
from components.settings import Problem

BYTES: dict[Weights, float] = {
    "float32": 4,
    "bfloat16": 2,
    "float16": 2,
    "fp8": 1,
    "int8": 1,
    "int4": 0.5,
}
"""Bytes of a parameter. Scales of quantized weights add some percent."""
COMPUTED_IN = ("float32", "bfloat16", "float16")
"""Options of the engine; it reads the quantization of weights from the model's
files."""
LEAST_CAPABILITY: dict[Weights, tuple[int, int]] = {"bfloat16": (8, 0)}
"""Compute capability from which GPUs support the type; below it, vLLM fails at start.
https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities"""
LEAST_CACHE_PERCENT = 10
"""Percent of the engine's share. With less, if it starts at all, its cache holds only a
request or two and all others are queued."""
SECONDS_PER_GIB = 8
"""Reading weights from a gp3 volume: 125 MiB/s, the rate without extra cost.
https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html"""
ENGINE_SECONDS = 180
"""Compiling and capturing graphs of the model, after its weights are loaded."""
_GIB = 2**30
_MIB_PER_GIB = 1024


def weights_gib(parameters_billions: float, dtype: Weights) -> float:
    """Size of all weights, in GiB."""
    return parameters_billions * 1e9 * BYTES[dtype] / _GIB


def problems(
    gpus: LlmGpus, *, weights_gib: float, memory_percent: int
) -> Iterator[Problem]:
    """Report types whose GPUs cannot hold their part of the weights and a cache."""
    part = weights_gib / gpus.replica_gpus
    for index, found in enumerate(gpus.types):
        if not found.gpu:
            continue
        memory = found.gpu.memory / _MIB_PER_GIB
        room = memory * memory_percent / 100 * (100 - LEAST_CACHE_PERCENT) / 100
        if part > room:
            yield Problem(
                f"gpus.instance_types.{index}",
                found.name,
                f"{weights_gib:.1f} GiB of weights are {part:.1f} GiB for each of "
                f"{gpus.replica_gpus} GPUs, but of the {memory:.1f} GiB of a "
                f"{found.gpu.model} only {room:.1f} are available for them",
                f"split the model over at least {_needed(weights_gib, room)} GPUs, or "
                "use larger GPUs or smaller weights",
            )


def unsupported(gpus: LlmGpus, dtype: Weights) -> Iterator[Problem]:
    """Report types whose GPUs cannot compute in the type of the weights."""
    least = LEAST_CAPABILITY.get(dtype, (0, 0))
    for index, found in enumerate(gpus.types):
        if not found.gpu:
            continue
        capability = catalog.accelerator(found.gpu.model).compute_capability
        major, _, minor = capability.partition(".")
        if (int(major), int(minor)) < least:
            yield Problem(
                f"gpus.instance_types.{index}",
                found.name,
                f"its {found.gpu.model} has compute capability {capability}, and "
                f"{dtype} needs {least[0]}.{least[1]}",
                "set dtype: float16, or give a type with newer GPUs",
            )


def _needed(weights_gib: float, room: float) -> int:
    """Return the GPUs of this size, a power of two because of attention heads."""
    count = 1
    while weights_gib / count > room:
        count *= 2
    return count
