"""Settings of a training job, which are the arguments of its component."""

from __future__ import annotations

from collections.abc import Iterator

from components.settings import Problem
from components.training import job_problems
from components.training.job_fields import JobFields


class TrainingJobArgs(JobFields):
    """A gang of workers that train together: created by the stack, started by a run."""

    def contradictions(self) -> Iterator[Problem]:
        """Report settings with which no gang can start, or end as intended."""
        yield from job_problems.problems(self)
