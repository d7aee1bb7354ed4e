"""The state of a run as text, and the exit status of an ended run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components import naming
from components.training.gang_start import TIMED_OUT
from components.training.job_fields import SIDECAR, WAIT
from components.training.spark_fields import DRIVER
from slipway.cluster.kube_api import Object
from slipway.jobs.runs import ENDED, condition, program_of

DEADLINE = 124
"""Same as timeout(1): the run exceeded its time."""
INDEX = "batch.kubernetes.io/job-completion-index"
_USUAL = ("PodInitializing", "ContainerCreating", "")
_LONGEST = 300
_MEMORY = "resources.memory_limit_mib"


@dataclass(frozen=True)
class State:
    """A run at one moment."""

    word: str
    """waiting, starting, running, succeeded or failed."""
    details: tuple[str, ...] = ()
    """Further messages, one per line."""
    exit_status: int | None = None
    """Of a run that has ended: 0, or that of the worker that failed first; of framework
    torch that is torchrun's, which is 1."""

    @property
    def text(self) -> str:
        """Return all of it as lines."""
        return "\n  ".join((self.word, *self.details))


def of(run: Object, pods: Sequence[Object]) -> State:
    """The state of a run with these pods."""
    ended = condition(run, *ENDED)
    if ended is None:
        return _going(run, pods)
    if ended["type"] == "Complete":
        return State("succeeded", exit_status=0)
    newest = _newest(pods)
    status = DEADLINE if ended.get("reason") == "DeadlineExceeded" else _status(newest)
    said = f"{ended.get('reason', '')}: {ended.get('message', '')}"
    return State("failed", (said, *_failures(newest)), status)


def _going(run: Object, pods: Sequence[Object]) -> State:
    if run["spec"].get("suspend"):
        return State("waiting", ("its queue has not admitted it yet",))
    newest = _newest(pods)
    if program_of(run) == naming.SPARK_JOB:
        word = "running" if any(map(_is_running, newest)) else "starting"
        return State(f"{word}: the driver", tuple(_troubles(pods)))
    workers = run["spec"]["completions"]
    done = run.get("status", {}).get("succeeded") or 0
    live = sum(_is_running(pod) for pod in newest)
    troubles = tuple(_troubles(pods))
    if live + done < workers:
        return State(f"starting: {live} of {workers} workers run", troubles)
    left = f", {done} done" if done else ""
    return State(f"running: {live} of {workers} workers run{left}", troubles)


def _newest(pods: Sequence[Object]) -> list[Object]:
    """Return the newest pod of each index."""
    in_order = sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    found = {pod["metadata"].get("labels", {}).get(INDEX): pod for pod in in_order}
    return list(found.values())


def statuses(pod: Object) -> Iterator[Object]:
    """Return the statuses of all containers."""
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _is_running(pod: Object) -> bool:
    """Return whether the worker itself runs, after its peers were ready."""
    main = pod.get("status", {}).get("containerStatuses") or ()
    return any("running" in one.get("state", {}) for one in main)


def _troubles(pods: Sequence[Object]) -> Iterator[str]:
    """Why pods do not run, or that they failed."""
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for one in status.get("conditions") or ():
            if one["type"] == "PodScheduled" and one["status"] == "False":
                yield _short(f"{name} is not placed: {one.get('message', '')}")
        for one in statuses(pod):
            waits = one.get("state", {}).get("waiting") or {}
            reason = waits.get("reason", "")
            if reason not in _USUAL:
                yield _short(f"{name} waits: {reason}: {waits.get('message', '')}")
    yield from _failures(pods)


def _failures(pods: Sequence[Object]) -> Iterator[str]:
    """Pods that failed, each with its cause, in the order of time."""
    for pod in sorted(pods, key=_finished):
        status, name = pod.get("status", {}), pod["metadata"]["name"]
        if status.get("phase") != "Failed":
            continue
        if status.get("reason"):
            yield _short(f"{name} failed: {status['reason']}: {status.get('message')}")
        for one in _failed(pod):
            code = _code(one)
            yield _short(f"{name} ended with {code}{_cause(one, code)}")


def _cause(container: Object, code: int) -> str:
    ended = container["state"]["terminated"]
    lines = (ended.get("message") or "").strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    if ended.get("reason") == "OOMKilled":
        setting = "driver.memory_mib" if _is_driver(container) else _MEMORY
        return f": it ran out of memory; raise {setting}"
    if container["name"] == WAIT and code == TIMED_OUT:
        return f", as the gang was not whole in time{last}"
    return last


def _is_driver(container: Object) -> bool:
    """Return whether it is the driver of a Spark job."""
    return bool(container["name"] == DRIVER)


def _code(container: Object) -> int:
    ended = container.get("state", {}).get("terminated") or {}
    return int(ended.get("exitCode") or 0)


def _failed(pod: Object) -> list[Object]:
    """Statuses of its containers that failed; a sidecar's exit means nothing."""
    return [one for one in statuses(pod) if _code(one) and one["name"] != SIDECAR]


def _finished(pod: Object) -> str:
    """When its first container failed, as text that sorts.

    In whole seconds, as Kubernetes has it: which of two that failed within one second
    was first is not known, and the one of the API server's order counts.
    """
    ends = (one["state"]["terminated"] for one in _failed(pod))
    return min((one.get("finishedAt") or "" for one in ends), default="~")


def _status(pods: Sequence[Object]) -> int:
    """The exit status of the worker that failed first; 1 if it is unknown."""
    first = sorted(pods, key=_finished)
    return next((_code(one) for pod in first for one in _failed(pod)), 1)


def _short(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
