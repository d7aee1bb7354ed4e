"""Checks that an image's driver supports the pool's instance types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components import catalog
from components.catalog import InstanceType
from components.cluster.nodes import amis, node_capacity
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.settings import Problem


def problems(pool: NodePoolBase, types: Sequence[InstanceType]) -> Iterator[Problem]:
    """Report drivers older than MIG needs, and pairs that are known not to work."""
    for t in types:
        key = pool.ami or node_capacity.ami_key(t)
        image = amis.lock().images.get(key)
        if image is None or image.accelerator != "nvidia" or image.driver is None:
            continue
        yield from _mig(pool, t, key, image.driver)
        yield from _known_bad(pool, t, key, image.driver)


def _mig(
    pool: NodePoolBase, t: InstanceType, key: str, driver: str
) -> Iterator[Problem]:
    if pool.gpu.mode != "mig" or t.gpu is None:
        return
    least = catalog.accelerator(t.gpu.model).minimum_driver
    if least and _numbers(driver) < _numbers(least):
        yield Problem(
            "gpu.mode",
            "mig",
            f"{key} has driver {driver}, but MIG on the {t.gpu.model} of {t.name} "
            f"needs {least}",
            "pin an image with a newer driver, or set mode: whole",
        )


def _known_bad(
    pool: NodePoolBase, t: InstanceType, key: str, driver: str
) -> Iterator[Problem]:
    used = {"mig": pool.gpu.mode == "mig", "efa": bool(getattr(pool, "efa", False))}
    for bad in catalog.known_bad():
        branch = _numbers(bad.drivers)
        if (
            t.family in bad.families
            and _numbers(driver)[: len(branch)] == branch
            and used[bad.feature]
        ):
            yield Problem(
                "gpu.mode" if bad.feature == "mig" else bad.feature,
                pool.gpu.mode if bad.feature == "mig" else True,
                f"{key} has driver {driver}, and on {t.name} {bad.reason} "
                f"({bad.source}, {bad.date})",
                bad.fix,
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
