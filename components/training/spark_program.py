"""Checks of a Spark program that hold wherever it runs: class, bounds, properties."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from components.security import secret_shapes
from components.setting_secrets import NOT_SHOWN
from components.settings import ABSENT, Problem

LEAST_HEAP_MIB = 512
"""Spark refuses to start with less than 450 MiB, and Java reports less memory than it
was given.
https://spark.apache.org/docs/latest/tuning.html#memory-management-overview"""
_MEMORY = ("spark.driver.memory", "spark.executor.memory")


class Executors(Protocol):
    """The number of a job's executors."""

    @property
    def instances(self) -> int:
        """At the start, and the least of them."""

    @property
    def max_instances(self) -> int | None:
        """The setting; None: as `instances`."""

    @property
    def most(self) -> int:
        """The most of them."""


def main_class_problems(main: str, main_class: str | None) -> Iterator[Problem]:
    """Report a jar without a class, or a class without a jar."""
    is_jar = main.endswith(".jar")
    if is_jar and not main_class:
        yield Problem(
            "main_class",
            ABSENT,
            "main is a jar, of which one class is started",
            "give the class with the main method, such as org.example.Counts",
        )
    if main_class and not is_jar:
        yield Problem(
            "main_class",
            main_class,
            "main is a Python file, which has no classes to start",
            "remove it",
        )


def executor_problems(executors: Executors) -> Iterator[Problem]:
    """Report reversed bounds of the number of executors."""
    if executors.most < executors.instances:
        yield Problem(
            "executors.max_instances",
            executors.max_instances,
            f"instances, the least of them, is {executors.instances}",
            f"give at least {executors.instances}, or lower instances",
        )


def alternative(key: str, owned: Mapping[str, str]) -> str | None:
    """Return what to do instead of setting a property; None: it can be set.

    `owned`: alternatives by a property's name, or by the beginning of several names.
    """
    for name, instead in owned.items():
        if key == name or key.startswith(name if name.endswith(".") else f"{name}."):
            return instead
    # spark.driver.memoryOverhead has no dot before its last word.
    return next((owned[one] for one in _MEMORY if key.startswith(one)), None)


def property_problems(
    properties: Mapping[str, str],
    owned: Callable[[str], str | None],
    readers: str,
    secret_fix: str,
) -> Iterator[Problem]:
    """Report properties that a setting controls, and values that look like secrets.

    `readers`: who would see a value; `secret_fix`: where a secret belongs instead.
    """
    for key, value in sorted(properties.items()):
        why = secret_shapes.found(key.replace(".", "_"), value)
        path = f"properties.{key}"
        if instead := owned(key):
            shown = NOT_SHOWN if why else value
            yield Problem(path, shown, f"the job sets it: {instead}", "remove it")
        elif why:
            yield Problem(path, NOT_SHOWN, f"{why}, and {readers}", secret_fix)
