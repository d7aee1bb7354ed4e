"""How a pool's GPUs are given to pods: whole, in MIG slices, or time-sliced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.setting_types import Whole
from components.settings import ABSENT, Problem, Settings

MODE_OF = {"mig_profile": "mig", "replicas": "time_slicing"}
"""Mode of each setting."""


class GpuLayout(Settings):
    """One layout for all GPUs of a pool.

    The name of the requested resource contains the layout, so that no pod gets a slice
    instead of a GPU: `nvidia.com/gpu` (whole), `nvidia.com/mig-<profile>`, or
    `nvidia.com/gpu.shared`.
    """

    mode: Literal["whole", "mig", "time_slicing"] = "whole"
    """Whether a pod gets whole GPUs, a MIG slice with its own memory, or a time slice
    of a GPU whose memory is shared."""
    mig_profile: str | None = None
    """The MIG profile of every GPU, for example 1g.10gb."""
    replicas: Annotated[Whole | None, Field(ge=2, le=48)] = None
    """Number of pods that share one GPU."""

    def contradictions(self) -> Iterator[Problem]:
        """Report a mode without its setting, or with another mode's."""
        for name, mode in MODE_OF.items():
            value = getattr(self, name)
            if value is not None and self.mode != mode:
                yield Problem(
                    name,
                    value,
                    f"it applies to mode {mode} only, and the mode is {self.mode}",
                    f"set mode: {mode}, or remove it",
                )
            if value is None and self.mode == mode:
                yield Problem(
                    name, ABSENT, f"mode {mode} requires it", "set it, or mode: whole"
                )

    def resource(self) -> str:
        """The name of the extended resource that pods ask for."""
        names = {
            "whole": "nvidia.com/gpu",
            "mig": f"nvidia.com/mig-{self.mig_profile}",
            "time_slicing": "nvidia.com/gpu.shared",
        }
        return names[self.mode]
