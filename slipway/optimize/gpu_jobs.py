"""Recipes for GPUs, rendered as a job of a stack: no GPU was used to try them.

TensorRT 11 takes precisions from the graph alone, so NVIDIA's Model Optimizer writes
them into it first.
https://docs.nvidia.com/deeplearning/tensorrt/11.4.1/api/migration/tensorrt-10x-to-11x-trtexec.html
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from components.yaml_text import written
from toolchain.errors import WrongInputError

GRAPH, CALIBRATION = "/data/model.onnx", "/data/calibration.npz"
CHANGED = "/tmp/model.onnx"  # noqa: S108 the job's own
_QUANTIZE = (
    "python3 -m modelopt.onnx.quantization --onnx_path={graph} --quantize_mode={mode} "
    "--calibration_data={calibration} --output_path={changed}"
)
STEPS = {
    "gpu_fp16": f"python3 -m modelopt.onnx.autocast --onnx_path={GRAPH} "
    f"--output_path={CHANGED}",
    **{
        f"gpu_{mode}": _QUANTIZE.format(
            graph=GRAPH, mode=mode, calibration=CALIBRATION, changed=CHANGED
        )
        for mode in ("int8", "fp8")
    },
}
"""Changes of the graph, by recipe name; an engine is then built from it."""


ROWS = {"min": 1, "opt": 64, "max": 256}
"""Shapes of a run. Without them, trtexec builds an engine only for runs of one row."""


def job(model: str, recipe: str, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The job's settings, of which the images and the nodes are examples.

    `inputs` are those of model.yaml. WrongInputError for dimensions of no fixed size.
    """
    nowhere = f"@sha256:{'0' * 64}"
    engine = f'trtexec --onnx={CHANGED} --saveEngine="$SLIPWAY_RESULT/model.plan"'
    for kind, rows in ROWS.items():
        shapes = ",".join(_shape(it, rows) for it in inputs)
        engine += f" {shlex.quote(f'--{kind}Shapes={shapes}')}"
    steps = 'mkdir -p "$SLIPWAY_RESULT"', STEPS[recipe], engine
    return {
        "image": f"host.example/tensorrt-modelopt{nowhere}",
        "command": ["sh", "-ec", "\n".join(steps) + "\n"],
        "accelerator": {"instance_types": ["g6.xlarge"], "pool": "gpu"},
        "resources": {
            "cpu_request_millicores": 1000,
            "cpu_limit_millicores": 3000,
            "memory_request_mib": 4096,
            "memory_limit_mib": 8192,
        },
        "deadline_seconds": 7200,
        "data": {"image": f"host.example/models/{model}{nowhere}"},
        "result": {"claim": f"{model}-{recipe.replace('_', '-')}", "size_gib": 5},
    }


def _shape(tensor: Mapping[str, Any], rows: int) -> str:
    """An input's shape as trtexec takes it, such as X:64x16."""
    name, (_, *sizes) = tensor["name"], tensor["shape"]
    if min(sizes, default=1) < 1:
        raise WrongInputError(
            f"{name}: has dimensions of no fixed size besides the rows, and a job for "
            "GPUs is rendered for inputs of fixed sizes alone; write the job yourself"
        )
    return f"{name}:{'x'.join(map(str, (rows, *sizes)))}"


def stack_lines(manifest: Mapping[str, Any], recipe: str) -> str:
    """Lines for a stack file of the layer jobs; `manifest` is model.yaml's content."""
    model = str(manifest.get("name", ""))
    name = f"{model}-{recipe.replace('_', '-')}"
    made = job(model, recipe, manifest.get("inputs") or ())
    return written({"slipway:training": {name: made}})
