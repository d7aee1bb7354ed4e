"""Parts of vLLM's settings: how a model is sharded, and the source of its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.serving.settings.gpu_settings import Gpus
from components.setting_types import Whole
from components.settings import Problem, refuse

Weights = Literal["float32", "bfloat16", "float16", "fp8", "int8", "int4"]
"""Storage type of a parameter."""
_ADDRESS = re.compile(r"(s3|gs|az)://[a-z0-9][a-z0-9.-]{1,61}(/[\w.+=-]+)+/?")


def address(text: str) -> str:
    """Check a folder of an object store that the streamer supports."""
    if not _ADDRESS.fullmatch(text):
        refuse(
            "not an object store folder that vLLM can stream from",
            "give s3://bucket/path/revision, or gs:// or az://",
        )
    return text


class LlmGpus(Gpus):
    """The GPUs of one replica of a language model: tensor times pipeline."""

    replica_gpus: Annotated[Whole, Field(ge=1, le=16)] = 1
    """GPUs of one replica: tensor_parallel_gpus times pipeline_parallel_stages."""
    tensor_parallel_gpus: Annotated[Whole, Field(ge=1, le=16)] = 1
    """GPUs over which each layer is sharded; must divide the number of attention
    heads."""
    pipeline_parallel_stages: Annotated[Whole, Field(ge=1, le=16)] = 1
    """Groups of GPUs that hold the layers one after the other."""

    def contradictions(self) -> Iterator[Problem]:
        """Report GPUs without a part of the model, or parts without a GPU."""
        yield from super().contradictions()
        product = self.tensor_parallel_gpus * self.pipeline_parallel_stages
        if product != self.replica_gpus:
            yield Problem(
                "replica_gpus",
                self.replica_gpus,
                f"{self.tensor_parallel_gpus} tensor_parallel_gpus times "
                f"{self.pipeline_parallel_stages} pipeline_parallel_stages is "
                f"{product}",
                f"give {product}, or split the model differently",
            )
