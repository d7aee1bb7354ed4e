"""The changes of a resize, and the obstacles to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from components import settings
from components.serving.args.parts import Part
from components.serving.pods.workload import CONTAINER
from components.serving.settings.resource_settings import Resources
from components.settings import SettingsError
from slipway.bench.sizing import FITTING, Finding
from slipway.cluster.kube_api import KubeApi, Object
from slipway.cluster.rollout import settled

CPU, MEMORY = "cpu", "memory"
FIELDS = {
    "cpu_request_millicores": ("requests", CPU, "{}m"),
    "cpu_limit_millicores": ("limits", CPU, "{}m"),
    "memory_request_mib": ("requests", MEMORY, "{}Mi"),
    "memory_limit_mib": ("limits", MEMORY, "{}Mi"),
}
"""For each setting: its place in a container, and its form in Kubernetes."""
CHANGEABLE = ("cpu_request_millicores", "memory_request_mib", "memory_limit_mib")
"""A server reads its CPU limit at its start, so that a new one needs a new pod."""
PODS = "/api/v1/namespaces/{namespace}/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{namespace}/deployments"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"


@dataclass(frozen=True)
class Change:
    """New sizes of the replicas of one server or revision."""

    part: Part
    sizes: Mapping[str, int]
    """By setting, those that differ from the stack file."""

    @property
    def resources(self) -> dict[str, int]:
        """All sizes after the change, by setting."""
        found: dict[str, int] = self.part.args.resources.model_dump()
        return found | dict(self.sizes)

    def content(self) -> Object:
        """The patch of a pod."""
        resources: dict[str, dict[str, str]] = {}
        for name, value in self.sizes.items():
            kind, resource, form = FIELDS[name]
            resources.setdefault(kind, {})[resource] = form.format(value)
        return {"spec": {"containers": [{"name": CONTAINER, "resources": resources}]}}


def of_findings(part: Part, findings: Sequence[Finding]) -> Change:
    """Return the better sizes for a part whose sizes do not fit."""
    sizes = {
        it.setting: it.better
        for it in findings
        if it.model == part.name and it.verdict not in FITTING and it.better is not None
    }
    return within(part, sizes)


def within(part: Part, sizes: Mapping[str, int]) -> Change:
    """The change with each request at most its limit, as both may come from use."""
    current: dict[str, int] = part.args.resources.model_dump()
    wanted = current | dict(sizes)
    for request, limit in (
        ("cpu_request_millicores", "cpu_limit_millicores"),
        ("memory_request_mib", "memory_limit_mib"),
    ):
        wanted[request] = min(wanted[request], wanted[limit])
    return Change(
        part, {name: it for name, it in wanted.items() if it != current[name]}
    )


def problems(api: KubeApi, namespace: str, change: Change) -> Iterator[str]:
    """All obstacles except autoscalers, each with its fix."""
    name = change.part.name
    yield from _sizes(change)
    if not _can_resize(api):
        yield (
            "the cluster cannot resize pods in place: that needs Kubernetes 1.33 or "
            "later; write the sizes into the stack file and run `slipway up`"
        )
    deployment = api.get(f"{DEPLOYMENTS.format(namespace=namespace)}/{name}")
    if deployment is None:
        yield f"{name} is not in the cluster: run `slipway up` first"
        return
    kind = {"apiVersion": "apps/v1", "kind": "Deployment"}
    if not settled({**kind, **deployment}):
        yield (
            f"{name}: a rollout goes on, or replicas are not available; see `slipway "
            "doctor`, and try again when they are"
        )
    for pod in replicas(api, namespace, change.part):
        yield from _class_of_service(pod, change)


def replicas(api: KubeApi, namespace: str, part: Part) -> list[Object]:
    """Pods of the part that run and are not on their way out, by name.

    The pod of an eviction stays as Failed until it is collected.
    """
    chosen = ",".join(f"{key}={value}" for key, value in part.selector.items())
    found = api.items(
        f"{PODS.format(namespace=namespace)}?labelSelector={quote(chosen)}"
    )
    running = [
        it
        for it in found
        if "deletionTimestamp" not in it["metadata"]
        and (it.get("status") or {}).get("phase") == "Running"
    ]
    return sorted(running, key=lambda it: str(it["metadata"]["name"]))


def resources_of(pod: Object) -> Object:
    """Return the requests and limits of the server's container."""
    containers = pod["spec"]["containers"]
    found = next(it for it in containers if it["name"] == CONTAINER)
    resources: Object = found.get("resources") or {}
    return resources


def _sizes(change: Change) -> Iterator[str]:
    for name in change.sizes:
        if name not in CHANGEABLE:
            yield (
                f"{name}: a server reads it at its start, so it needs new pods; write "
                "it into the stack file and run `slipway up`"
            )
    try:
        settings.parse(Resources, change.resources, change.part.name)
    except SettingsError as error:
        for it in error.problems:
            yield f"{it.path}: {it.value}: {it.reason}; {it.fix}"


def _can_resize(api: KubeApi) -> bool:
    found = api.get("/api/v1") or {}
    return any(it["name"] == "pods/resize" for it in found.get("resources") or ())


def autoscalers(api: KubeApi, namespace: str, change: Change) -> Iterator[str]:
    """Autoscalers by the use of what is resized: the request is their measure."""
    requested = {
        FIELDS[name][1] for name in change.sizes if FIELDS[name][0] == "requests"
    }
    for one in api.items(AUTOSCALERS.format(namespace=namespace)):
        target = one["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != ("Deployment", change.part.name):
            continue
        for resource in sorted(requested & set(_utilizations(one))):
            yield (
                f"{one['metadata']['name']} scales {change.part.name} by {resource} in "
                f"percent of the request, so a new request would change the number of "
                "replicas; write the size into the stack file together with "
                "scaling.cpu_percent and run `slipway up`, or scale by requests in "
                "flight (scaling.signal: inflight)"
            )


def _utilizations(autoscaler: Object) -> Iterator[str]:
    """Resources whose use in percent of the request an autoscaler holds."""
    for metric in autoscaler["spec"].get("metrics") or ():
        for key in ("resource", "containerResource"):
            found = metric.get(key) or {}
            if (found.get("target") or {}).get("type") == "Utilization":
                yield str(found["name"])


def _class_of_service(pod: Object, change: Change) -> Iterator[str]:
    """Kubernetes refuses a resize that changes it."""
    now = (pod.get("status") or {}).get("qosClass")
    sizes = change.resources
    is_same = all(
        sizes[f"{kind}_request_{unit}"] == sizes[f"{kind}_limit_{unit}"]
        for kind, unit in ((CPU, "millicores"), (MEMORY, "mib"))
    )
    later = "Guaranteed" if is_same and _others_are_guaranteed(pod) else "Burstable"
    if now not in (None, later):
        yield (
            f"{pod['metadata']['name']} is {now}, and would be {later}: a resize "
            "cannot change the class of service; write the sizes into the stack file "
            "and run `slipway up`"
        )


def _others_are_guaranteed(pod: Object) -> bool:
    """Return whether the requests of all other containers equal their limits."""
    spec = pod["spec"]
    for one in [*spec["containers"], *(spec.get("initContainers") or ())]:
        resources = one.get("resources") or {}
        limits, requests = resources.get("limits"), resources.get("requests")
        if one["name"] != CONTAINER and not (
            limits and {CPU, MEMORY} <= set(limits) and requests == limits
        ):
            return False
    return True
