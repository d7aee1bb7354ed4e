"""What platform stacks are rendered from and publishers have: charts, CRDs and helm.

A renderer has no network, and none of the caller's variables such as GOPROXY. What the
code that compares has pinned is fetched here, once, if a rendering has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from components.platform import chart, karpenter, keda_manifests, package
from stacks import layers
from toolchain import helm, paths
from toolchain.errors import OperatorError

PLATFORM = "platform"
FETCHES: tuple[Callable[[], Any], ...] = (
    helm.binary,
    chart.envoy_gateway_chart,
    partial(package.folder, karpenter.GROUP),
    partial(package.folder, keda_manifests.GROUP),
)
"""Each returns at once if what it fetches is in the cache."""


def fetched(stacks: Iterable[str]) -> bool:
    """Fetch what is not in the cache; return whether that was anything.

    What cannot be fetched may not be needed: a rendering then says that it is missing.
    """
    if PLATFORM not in {layers.split(stack)[0] for stack in stacks}:
        return False
    before = _there()
    for fetch in FETCHES:
        with suppress(OperatorError, OSError):
            fetch()
    return _there() != before


def _there() -> set[str]:
    cache = paths.cache()
    kept = ("packages/*/", "helm/*/helm")
    return {str(found) for pattern in kept for found in cache.glob(pattern)}
