"""The settings of EMR Serverless, which are the arguments of its component."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from components.setting_types import ModelName
from components.settings import Problem
from components.training import emr_problems
from components.training.emr_fields import EmrFields, EmrJobFields


class EmrJobArgs(EmrJobFields):
    """One Spark application; each run of it is started by `slipway run`."""

    def contradictions(self) -> Iterator[Problem]:
        """What EMR Serverless or Spark would refuse, or would not do as it is said."""
        yield from emr_problems.of_job(self)


class EmrArgs(EmrFields):
    """An application of EMR Serverless, its log bucket, and jobs with a role each."""

    jobs: dict[ModelName, EmrJobArgs] = Field(min_length=1)
    """Jobs by name. `slipway run NAME` starts a run."""

    def contradictions(self) -> Iterator[Problem]:
        """Between the application and its jobs."""
        yield from emr_problems.of_application(self)
        for name, job in self.jobs.items():
            yield from emr_problems.together(self, name, job)
