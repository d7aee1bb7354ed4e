"""More memory for a run of a job whose workers ran out of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from decimal import Decimal

from components.security.pod_defaults import memory_quantity
from components.training.job_fields import WORKER, RetryWith
from slipway.cluster.kube_api import Object
from slipway.doctor.quantity import parse

OUT_OF_MEMORY = "OOMKilled"
MIB = 2**20


def ran_out(pods: Sequence[Object]) -> bool:
    """Return whether a worker of these pods was killed for its memory."""
    return any(
        one["name"] == WORKER and _reason(one) == OUT_OF_MEMORY
        for pod in pods
        for one in pod.get("status", {}).get("containerStatuses") or ()
    )


def _reason(container: Object) -> str:
    ended = container.get("state", {}).get("terminated") or {}
    return str(ended.get("reason") or "")


def larger(run: Object, retry: RetryWith) -> int | None:
    """MiB for the run after this one; None if this one had the most."""
    now = math.ceil(parse(_limits(run)["memory"]) / MIB)
    wanted = min(
        math.ceil(now * Decimal(str(retry.memory_factor))), retry.most_memory_mib
    )
    return wanted if wanted > now else None


def with_memory(spec: Object, mib: int) -> Object:
    """A run's spec in which a worker may use so much; its request grows alike."""
    found = copy.deepcopy(spec)
    resources = _worker(found)["resources"]
    before = parse(resources["limits"]["memory"])
    asked = parse(resources["requests"]["memory"]) * mib * MIB / before
    resources["limits"]["memory"] = memory_quantity(mib)
    resources["requests"]["memory"] = memory_quantity(math.ceil(asked / MIB))
    return found


def _limits(run: Object) -> Object:
    found: Object = _worker(run["spec"])["resources"]["limits"]
    return found


def _worker(spec: Object) -> Object:
    containers = spec["template"]["spec"]["containers"]
    found: Object = next(it for it in containers if it["name"] == WORKER)
    return found
