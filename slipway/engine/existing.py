"""Reject objects that already exist and are not the stack's own.

Server-side apply adopts them silently, and `destroy` would then delete what others
created (docs/decisions/0038). So this queries the API for every object that the stack
would create and its state does not contain. It reads only metadata, so no Secret's
content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components import naming, ownership
from components.settings import Problem, SettingsError
from slipway import stack_files
from slipway.cluster.kube_api import ForbiddenError, KubeApi, KubeApiError, Object
from slipway.engine import recovery
from slipway.engine.results import EngineError
from slipway.rendering import manifests
from slipway.rendering.recorder import KUBERNETES, Resource
from slipway.rendering.render import Rendered
from slipway.waiting import shortened

TOGETHER = 8
"""Concurrent requests."""
PROVIDER = "pulumi-kubernetes"
"""Prefix of the provider's field managers."""

LEFT_OUT: Mapping[str, str] = {
    "slipway:observability:AlertRecorder": "monitoring.alert_recorder.enabled",
    "slipway:observability:Alertmanager": "monitoring.alertmanager.enabled",
    "slipway:observability:Prometheus": "monitoring.prometheus.enabled",
    "slipway:platform:CoreDns": "coredns.enabled",
    "slipway:platform:EnvoyGateway": "envoy_gateway.enabled",
    "slipway:platform:Gateway": "gateway.enabled",
    "slipway:platform:GatewayApi": "gateway_api.enabled",
    "slipway:platform:Karpenter": "karpenter.enabled",
    "slipway:platform:KarpenterDefinitions": "karpenter.enabled",
    "slipway:platform:Keda": "keda.enabled",
    "slipway:platform:KedaDefinitions": "keda.enabled",
    "slipway:platform:MetricsServer": "metrics_server.enabled",
    "slipway:platform:PolicyAgent": "policy_agent.enabled",
    "slipway:platform:PreemptibleJobs": "preemptible_jobs.enabled",
    "slipway:platform:StorageClass": "storage_class.enabled",
}
"""The setting that omits a component, by the component's type."""
RENAMED: Mapping[str, str] = {
    "slipway:platform:Namespaces": "namespaces.models",
    "slipway:platform:NodePools": "node_pools",
    "slipway:serving:ClientKeys": "client_keys",
    "slipway:serving:ModelServer": "models",
}
"""The setting that names a component's objects."""
_FIXED = {
    naming.GATEWAY_NAMESPACE,
    naming.KEDA_NAMESPACE,
    naming.MONITORING_NAMESPACE,
}
"""Namespaces that no setting can rename."""

Key = tuple[str, str, str]
"""Identity of an object: API group, kind, and namespace/name."""


@dataclass(frozen=True)
class Wanted:
    """An object that would be the stack's own."""

    resource: Resource
    version: str
    """Group and version, in the form of the API's paths."""
    kind: str
    namespace: str
    name: str

    @property
    def reference(self) -> str:
        return ownership.reference(self.kind, self.namespace, self.name)

    @property
    def key(self) -> Key:
        where = "/".join(filter(None, (self.namespace, self.name)))
        return (_group(self.version), self.kind, where)


Answer = Object | ForbiddenError
"""An object's metadata, or that the caller may not read it."""


def refuse_foreign(
    rendered: Rendered,
    state: Mapping[str, Any],
    reach: Callable[[], KubeApi],
    say: Callable[[str], None],
) -> None:
    """Raise SettingsError that names all existing objects that are not the stack's own.

    `state` is an export of the stack's, `reach` gives the cluster's API; it is called
    only if there is something to ask, and KubeApiError comes from it and from asking.
    """
    asked = _unknown(rendered, state)
    if not asked:
        return
    with reach() as api:
        refuse(rendered.stack, look(api, asked), say)


def before(
    verb: str,
    rendered: Rendered,
    state: Mapping[str, Any],
    reach: Callable[[], KubeApi],
    say: Callable[[str], None],
) -> None:
    """Run this check before `up` or a preview; SettingsError and EngineError.

    A preview continues if the cluster cannot be reached.
    """
    try:
        refuse_foreign(rendered, state, reach, say)
    except KubeApiError as error:
        text = f"existing objects could not be checked: {error}"
        if verb == "up":  # otherwise others' objects might be adopted unnoticed
            raise EngineError(rendered.stack, verb, [("", text)]) from None
        say(f"{rendered.stack}: {text}")


def look(api: KubeApi, asked: Iterable[Wanted]) -> list[tuple[Wanted, Answer]]:
    """Return those of the objects that exist, or may not be read."""
    found = paths(api, asked := list(asked))

    def one(wanted: Wanted) -> Answer | None:
        try:
            path = found.get(wanted.key)
            return api.metadata(path) if path else None
        except ForbiddenError as error:
            return error

    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = list(pool.map(one, asked))
    return [(w, a) for w, a in zip(asked, answers, strict=True) if a is not None]


def paths(api: KubeApi, asked: Iterable[Wanted]) -> dict[Key, str]:
    """The API's paths of objects.

    Kinds are left out whose definition this stack, or another, is yet to make.
    """
    asked = list(asked)
    versions = sorted({one.version for one in asked})
    with ThreadPoolExecutor(TOGETHER) as pool:
        kinds = list(pool.map(lambda version: api.kinds(_path(version)), versions))
    served = dict(zip(versions, kinds, strict=True))
    found = {}
    for one in asked:
        if one.kind in served[one.version]:
            plural, namespaced = served[one.version][one.kind]
            where = f"/namespaces/{one.namespace or 'default'}" if namespaced else ""
            found[one.key] = f"{_path(one.version)}{where}/{plural}/{one.name}"
    return found


def refuse(
    stack: str, found: Iterable[tuple[Wanted, Answer]], say: Callable[[str], None]
) -> None:
    """Raise SettingsError if any lacks the stack's label."""
    problems, own = [], []
    for wanted, answer in found:
        if isinstance(answer, ForbiddenError):
            problems.append(_unseen(wanted, answer))
        elif _owner(answer) == ownership.label(stack):
            own.append(wanted.reference)
        else:
            problems.append(_foreign(stack, wanted, answer))
    if problems:
        problems.sort(key=lambda problem: problem.path)
        raise SettingsError(stack_files.name(stack), problems)
    if own:
        say(f"{stack}: its own, and taken up again: {shortened(own)}")


def owned(rendered: Rendered) -> list[Wanted]:
    """Return all objects that would be the stack's own."""
    return [wanted for wanted in every(rendered) if _marked(wanted.resource)]


def every(rendered: Rendered) -> list[Wanted]:
    """Return all objects of the stack except those that the provider names."""
    found = map(_wanted, filter(manifests.is_object, rendered.resources))
    return [wanted for wanted in found if wanted]


def applied_by_pulumi(found: Answer) -> bool:
    """Return whether a Pulumi program created it without a stack's label.

    False for objects that were only adopted.
    """
    if isinstance(found, ForbiddenError) or _owner(found):
        return False
    if ownership.FORCE in (found["metadata"].get("annotations") or {}):
        return False
    return any(
        str(field.get("manager", "")).startswith(PROVIDER)
        for field in found["metadata"].get("managedFields") or ()
        if field.get("operation") == "Apply"
    )


def managers(found: Object) -> list[str]:
    """Return who wrote the object (except its status), each once, in order."""
    fields = found["metadata"].get("managedFields") or []
    fields = sorted(fields, key=lambda field: str(field.get("time", "")))
    names = [str(f.get("manager") or "") for f in fields if not f.get("subresource")]
    return list(dict.fromkeys(filter(None, names)))


def _unknown(rendered: Rendered, state: Mapping[str, Any]) -> list[Wanted]:
    """Objects that the engine would create, or that `destroy` would now delete."""
    known = _known(state)
    return [
        wanted
        for wanted in owned(rendered)
        if wanted.key not in known or (known[wanted.key] and not wanted.resource.retain)
    ]


def _wanted(resource: Resource) -> Wanted | None:
    """Return None for objects that the provider names or changes in part."""
    content = manifests.manifest(resource)
    metadata = content.get("metadata") or {}
    if resource.type.endswith("Patch") or not metadata.get("name"):
        return None
    return Wanted(
        resource,
        content["apiVersion"],
        content["kind"],
        metadata.get("namespace", ""),
        metadata["name"],
    )


def _marked(resource: Resource) -> bool:
    """Return False for adopted objects."""
    metadata = resource.inputs.get("metadata") or {}
    return naming.STACK_LABEL in (metadata.get("labels") or {})


def _known(state: Mapping[str, Any]) -> dict[Key, bool]:
    """Objects of the state, and whether `destroy` leaves each.

    Those among them whose creation was interrupted: the engine's next run looks
    whether they exist.
    """
    deployment = state.get("deployment") or {}
    interrupted = [operation["resource"] for operation in recovery.pending(dict(state))]
    found: dict[Key, bool] = {}
    for one in [*(deployment.get("resources") or ()), *interrupted]:
        if not one["type"].startswith(KUBERNETES) or not one.get("custom"):
            continue
        _, version, kind = one["type"].split(":")
        metadata = (one.get("inputs") or {}).get("metadata") or {}
        parts = [metadata.get("namespace"), metadata.get("name")]
        where = one.get("id") or "/".join(p for p in parts if p)
        group = _group(version.removeprefix("core/"))
        found[(group, kind, where)] = bool(one.get("retainOnDelete"))
    return found


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def _path(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _owner(found: Object) -> str:
    labels = found["metadata"].get("labels") or {}
    return str(labels.get(naming.STACK_LABEL, ""))


def _foreign(stack: str, wanted: Wanted, found: Object) -> Problem:
    by = ", ".join(managers(found)) or "(unknown)"
    if owner := _owner(found):
        reason = f"it exists and belongs to the stack {owner}"
    else:
        reason = f"it exists and does not have the label of {stack}"
    return Problem(
        path=wanted.reference,
        value=f"managed by {by}",
        reason=f"{reason}: `destroy` would delete an object that others created",
        fix=f"{_elsewhere(wanted)}add {wanted.reference} to `adopt`, "
        "which takes it over and keeps it at `destroy`",
    )


def _elsewhere(wanted: Wanted) -> str:
    """Return how to omit or rename the object, by its component."""
    fixed = (wanted.namespace or wanted.name) in _FIXED
    for type_ in reversed(wanted.resource.urn.split("::")[2].split("$")):
        if type_ in LEFT_OUT:
            return f"set {LEFT_OUT[type_]}: false, or "
        if type_ in RENAMED and not fixed:
            return f"give another name ({RENAMED[type_]}), or "
    return ""


def _unseen(wanted: Wanted, error: ForbiddenError) -> Problem:
    return Problem(
        path=wanted.reference,
        value="(may not be read)",
        reason=f"Slipway cannot see whether it exists: {error}",
        fix="allow these credentials to get objects of that kind, which the engine "
        "also needs",
    )
