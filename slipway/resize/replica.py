"""One replica resized in place, and watched until it has its new size.

https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from components.serving.pods.workload import CONTAINER
from slipway.cluster.kube_api import (
    STRATEGIC,
    KubeApi,
    KubeApiError,
    NoAnswerError,
    Object,
)
from slipway.doctor.quantity import parse
from slipway.resize.plan import PODS, Change, resources_of
from toolchain.errors import FAILED, INTERRUPTED, OperatorError

POLL_SECONDS = 1.0
PENDING, RUNNING = "PodResizePending", "PodResizeInProgress"


class ResizeError(OperatorError):
    """A replica did not get its new size; the text says why, and what it has now."""


class KeptError(ResizeError):
    """Its size was not changed, so that there is nothing to take back."""


@dataclass(frozen=True)
class Watch:
    """Time limits of a replica; `now` and `sleep` are the clock's."""

    seconds: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def resize(
    api: KubeApi, namespace: str, pod: Object, change: Change, watch: Watch
) -> None:
    """Give a replica its new size; ResizeError once it has its former one again."""
    name = pod["metadata"]["name"]
    path = f"{PODS.format(namespace=namespace)}/{name}"
    former = _former(pod, change)
    try:
        _ask(api, path, name, change.content())
        _wait(api, path, change.content(), watch)
    except KeptError:
        raise
    except (ResizeError, KubeApiError, KeyboardInterrupt) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        said = "interrupted" if interrupted else str(error)
        failure = ResizeError(f"{name}: {said}; {_back(api, path, former)}")
        failure.exit_status = INTERRUPTED if interrupted else FAILED
        raise failure from error


def _ask(api: KubeApi, path: str, name: str, wanted: Object) -> None:
    """Request the size; KeptError if it is refused.

    NoAnswerError if it may have been taken: the kubelet would go on trying.
    """
    try:
        there = api.patch(f"{path}/resize", wanted, STRATEGIC)
    except NoAnswerError:
        raise
    except KubeApiError as error:
        raise KeptError(f"{name} keeps its size: {error}") from None
    if not there:
        raise KeptError(f"{name} is gone")


def _former(pod: Object, change: Change) -> Object:
    """The patch that gives back what the pod has now."""
    now = resources_of(pod)
    (container,) = change.content()["spec"]["containers"]
    former = {
        kind: {resource: now.get(kind, {}).get(resource) for resource in values}
        for kind, values in container["resources"].items()
    }
    return {"spec": {"containers": [{"name": CONTAINER, "resources": former}]}}


def _back(api: KubeApi, path: str, former: Object) -> str:
    """Undo the request for a new size, which the kubelet would go on trying."""
    try:
        there = api.patch(f"{path}/resize", former, STRATEGIC)
    except KubeApiError as error:
        return f"its former size could not be asked for again ({error})"
    return "its former size was asked for again" if there else "it is gone"


def _wait(api: KubeApi, path: str, wanted: Object, watch: Watch) -> None:
    """Until the pod is ready with the size; ResizeError if it will not be."""
    end = watch.now() + watch.seconds
    reason = "the kubelet has not taken the new size up"
    while True:
        pod = api.get(path)
        if pod is None:
            raise ResizeError("it is gone")
        reason = _refusal(pod) or reason
        if _has(pod, wanted) and not _conditions(pod):
            if _is_ready(pod):
                return
            reason = "it has its new size and is not ready"
        if watch.now() >= end:
            raise ResizeError(f"after {watch.seconds:g} s: {reason}")
        watch.sleep(POLL_SECONDS)


def _conditions(pod: Object) -> dict[str, Object]:
    """Those of a resize that hold."""
    return {
        it["type"]: it
        for it in (pod.get("status") or {}).get("conditions") or ()
        if it["type"] in (PENDING, RUNNING) and it["status"] == "True"
    }


def _refusal(pod: Object) -> str:
    """Why the resize waits; ResizeError if it will wait for ever on this node."""
    found = _conditions(pod)
    for one in found.values():
        said = f"{one.get('reason', '')}: {one.get('message', '')}"
        if one.get("reason") == "Infeasible":
            raise ResizeError(said)
        if one.get("reason") in ("Deferred", "Error"):
            return said
    return ""


def _has(pod: Object, wanted: Object) -> bool:
    """Return whether the container runs with the sizes, according to the kubelet."""
    (container,) = wanted["spec"]["containers"]
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status["name"] == CONTAINER:
            actual = status.get("resources") or {}
            return all(
                _same(actual.get(kind, {}).get(resource), value)
                for kind, values in container["resources"].items()
                for resource, value in values.items()
            )
    return False


def _same(actual: str | None, wanted: str) -> bool:
    """1024Mi and 1Gi are one size."""
    return actual is not None and parse(actual) == parse(wanted)


def _is_ready(pod: Object) -> bool:
    return any(
        it["type"] == "Ready" and it["status"] == "True"
        for it in (pod.get("status") or {}).get("conditions") or ()
    )
