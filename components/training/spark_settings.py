"""Settings of a Spark job, which are the arguments of its component."""

from __future__ import annotations

from collections.abc import Iterator

from components.settings import Problem
from components.training import spark_problems
from components.training.spark_fields import SparkJobFields


class SparkJobArgs(SparkJobFields):
    """A Spark application: created by the stack, started by a run."""

    def contradictions(self) -> Iterator[Problem]:
        """Report settings that prevent a start, have no effect, or lose data."""
        yield from spark_problems.problems(self)
