"""The settings of a Spark job, which are the arguments of its component."""

from __future__ import annotations

from collections.abc import Iterator

from components.settings import Problem
from components.training import spark_problems
from components.training.spark_fields import SparkJobFields


class SparkJobArgs(SparkJobFields):
    """A Spark application: made by the stack, started by a run."""

    def contradictions(self) -> Iterator[Problem]:
        """What would not start, would have no effect, or would lose its data."""
        yield from spark_problems.problems(self)
