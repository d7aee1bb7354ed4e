"""KEDA's manifests as its publisher's module has them, and what is changed in them."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components import images, naming
from components.platform import chart, charted, package
from components.platform.keda_settings import KedaSettings
from components.security import pod_defaults
from components.yaml_text import Dialect, read, read_all

GROUP = "keda"
NAMESPACE = naming.KEDA_NAMESPACE
OPERATOR, ADAPTER = "keda-operator", "keda-metrics-apiserver"
METRICS_PORT, HEALTH_PORT = 8080, 8081
OPERATOR_PORT = 9666
"""Port at which the adapter queries the operator, by gRPC with certificates of both."""
ADAPTER_PORT = 6443
USER = 65532
API_SERVICE = "v1beta1.external.metrics.k8s.io"
_NAMESPACE_OF_MODULE = "keda"
_FILES = (
    "service_account/service_account.yaml",
    "rbac/role.yaml",
    "rbac/role_binding.yaml",
    "manager/manager.yaml",
    "manager/service.yaml",
    "metrics-server/role.yaml",
    "metrics-server/role_binding.yaml",
    "metrics-server/deployment.yaml",
    "metrics-server/service.yaml",
    "metrics-server/api_service.yaml",
)
"""Omitted: the admission webhook, and roles for people about KEDA's kinds."""
_RESOURCES = {
    OPERATOR: {
        "requests": {"cpu": "50m", "memory": "96Mi", **pod_defaults.disk()},
        "limits": {"cpu": "1", "memory": "512Mi", **pod_defaults.disk()},
    },
    ADAPTER: {
        "requests": {"cpu": "25m", "memory": "64Mi", **pod_defaults.disk()},
        "limits": {"cpu": "1", "memory": "256Mi", **pod_defaults.disk()},
    },
}
_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "patch", "update"]

Object = dict[str, Any]

_OWN_KINDS = (
    "scaledobjects",
    "scaledjobs",
    "triggerauthentications",
    "clustertriggerauthentications",
)
CLUSTER_RULES: list[Object] = [
    # Its own kinds, everywhere: a binding within a namespace goes when the namespace is
    # deleted, and what has KEDA's finalizer then would hold that deletion for ever.
    {
        "apiGroups": ["keda.sh"],
        "resources": [
            f"{kind}{part}"
            for kind in _OWN_KINDS
            for part in ("", "/status", "/finalizers")
        ],
        "verbs": _WRITE,
    },
    {
        "apiGroups": ["eventing.keda.sh"],
        "resources": [
            f"{kind}{part}"
            for kind in ("cloudeventsources", "clustercloudeventsources")
            for part in ("", "/status")
        ],
        "verbs": _WRITE,
    },
    {  # without which it does not start
        "apiGroups": ["autoscaling"],
        "resources": ["horizontalpodautoscalers"],
        "verbs": ["list", "watch"],
    },
    {
        "apiGroups": ["apiregistration.k8s.io"],
        "resources": ["apiservices"],
        "verbs": ["list", "watch"],
    },
    # Its own certificate's authority, which it renews.
    {
        "apiGroups": ["apiregistration.k8s.io"],
        "resources": ["apiservices"],
        "resourceNames": [API_SERVICE],
        "verbs": ["get", "patch", "update"],
    },
]
"""Permissions in the whole cluster; the publisher's role may read every object of any
kind."""
NAMESPACE_RULES: list[Object] = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": _READ},
    {
        "apiGroups": ["", "events.k8s.io"],
        "resources": ["events"],
        "verbs": ["create", "patch"],
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": _READ},
    {
        "apiGroups": ["apps"],
        "resources": ["deployments/scale"],
        "verbs": ["get", "patch", "update"],
    },
    {
        "apiGroups": ["autoscaling"],
        "resources": ["horizontalpodautoscalers"],
        "verbs": [*_WRITE, "create", "delete"],
    },
]
"""Permissions in each namespace of models: Deployments, no Secrets."""


def definitions() -> tuple[Object, ...]:
    """The CRDs of the pinned release, with its publisher's patches."""
    folder = package.folder(GROUP) / "config" / "crd"
    found = copy.deepcopy(chart.custom_resource_definitions(folder / "bases"))
    by_name = {crd["metadata"]["name"]: crd for crd in found}
    for patch in _read(folder / "kustomization.yaml")["patches"]:
        target = by_name[patch["target"]["name"]]
        for step in _read(folder / patch["path"]):
            apply_patch(target, step)
    return found


def apply_patch(content: Any, step: Object) -> None:
    """One step of a JSON patch (RFC 6902); only `add` and `remove` are known.

    Descriptions were left out of the definitions, so that nothing may be asked of them.
    """
    *parents, last = step["path"].removeprefix("/").split("/")
    for key in parents:
        content = content[int(key) if isinstance(content, list) else key]
    if step["op"] == "remove":
        del content[last]
    elif step["op"] != "add":
        raise ValueError(f"{step['op']} is not a known operation")
    elif isinstance(content, list):
        content.insert(len(content) if last == "-" else int(last), step["value"])
    else:
        content[last] = step["value"]


def objects(settings: KedaSettings, watched: Sequence[str]) -> list[Object]:
    """All objects but the CRDs, as this project wants them.

    `watched`: the namespaces in which it scales. The publisher's manifests have no
    values, so that each difference is made here: rights on what is not its own in the
    watched namespaces alone, the named API token, probes that are quick, resources, one
    namespace of ours.
    """
    found = [_adapted(o, settings, watched) for o in _published()]
    bindings = [
        _binding(namespace, {"kind": "ClusterRole", "name": f"{OPERATOR}-models"})
        for namespace in watched
    ]
    return [*found, _models_role(), *bindings]


@functools.lru_cache(maxsize=1)
def _published() -> tuple[Object, ...]:
    folder = package.folder(GROUP) / "config"
    return tuple(o for name in _FILES for o in _documents(folder / name))


def _read(file: Path) -> Any:
    return read(file.read_text(), str(file), Dialect.KUBERNETES)


def _documents(file: Path) -> list[Object]:
    found = read_all(file.read_text(), str(file), Dialect.KUBERNETES)
    documents = [d for d in found if d]
    encoded = json.dumps(documents).replace(
        f'"namespace": "{_NAMESPACE_OF_MODULE}"', f'"namespace": "{NAMESPACE}"'
    )
    moved: list[Object] = json.loads(encoded)
    return moved


def _adapted(content: Object, settings: KedaSettings, watched: Sequence[str]) -> Object:
    content["metadata"].setdefault("labels", {})
    content = charted.managed(content)
    kind, name = content["kind"], content["metadata"]["name"]
    content["metadata"]["labels"]["app.kubernetes.io/version"] = _version()
    if kind == "ServiceAccount":
        content["automountServiceAccountToken"] = False
    elif kind == "ClusterRole" and name == OPERATOR:
        content["rules"] = CLUSTER_RULES
    elif kind == "ClusterRole":  # of external metrics: the API server only reads them
        content["rules"][0]["verbs"] = ["get", "list"]
    elif kind == "Role":
        content["rules"] = [_without_delete(rule) for rule in content["rules"]]
    elif kind == "Service":
        for port in content["spec"]["ports"]:
            port["protocol"] = "TCP"
        content["spec"]["type"] = "ClusterIP"
    elif kind == "Deployment":
        _adapt_deployment(content, settings, watched)
    return content


def _version() -> str:
    return package.version(GROUP)


def _without_delete(rule: Object) -> Object:
    return {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "delete"]}


def _adapt_deployment(
    content: Object, settings: KedaSettings, watched: Sequence[str]
) -> None:
    name, spec = content["metadata"]["name"], content["spec"]
    spec["replicas"] = settings.replicas
    template = spec["template"]
    template["metadata"].pop("name")
    template["metadata"]["labels"] |= {
        **naming.labels(name, component="autoscaler"),
    }
    template["metadata"]["annotations"] = naming.scrape_annotations(METRICS_PORT)
    pod = template["spec"]
    charted.name_the_token(pod)
    pod["enableServiceLinks"] = False
    pod["securityContext"] = pod_defaults.pod_security_context(USER)
    (container,) = pod["containers"]
    container["image"] = settings.image_reference
    container["imagePullPolicy"] = images.pull_policy(settings.image_reference)
    container["resources"] = _RESOURCES[name]
    container["securityContext"] = pod_defaults.container_security_context(USER)
    for port in container["ports"]:
        port["protocol"] = "TCP"
    container["env"] = [v for v in container["env"] if "valueFrom" in v] + [
        {"name": "WATCH_NAMESPACE", "value": ",".join(watched)}
    ]
    container |= _probes(container)
    if name == OPERATOR:
        # No webhook is installed whose certificate it could renew.
        container["args"].append("--enable-webhook-patching=false")


def _probes(container: Object) -> Object:
    """Asked each second at the start, then less; the publisher's wait 20 s first."""
    ready, live = (
        {k: v for k, v in container[f"{kind}Probe"].items() if k == "httpGet"}
        for kind in ("readiness", "liveness")
    )
    for probe in (ready, live):
        probe["httpGet"].setdefault("scheme", "HTTP")
        probe["timeoutSeconds"] = 5
    return {
        # Certificates are made at the first start, and mounted a minute later.
        "startupProbe": {**live, "periodSeconds": 2, "failureThreshold": 90},
        "readinessProbe": {**ready, "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**live, "periodSeconds": 10, "failureThreshold": 6},
    }


def _models_role() -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": f"{OPERATOR}-models",
            "labels": naming.labels(OPERATOR, component="autoscaler"),
        },
        "rules": NAMESPACE_RULES,
    }


def _binding(namespace: str, role: Object) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {
            "name": role["name"],
            "namespace": namespace,
            "labels": naming.labels(OPERATOR, component="autoscaler"),
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", **role},
        "subjects": [
            {"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}
        ],
    }
