"""Refuses to remove a revision that still gets requests by a rollout's live weights.

The stack does not know the weights of a rollout: the controller writes them. Pods that
go while their revision has weight would fail its requests, so the live route is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from components import naming, ownership
from components.settings import Problem, SettingsError
from slipway import stack_files
from slipway.cluster.kube_api import KubeApi, KubeApiError, Object
from slipway.engine.results import EngineError
from slipway.rendering.render import Rendered

INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"


def before(
    verb: str,
    rendered: Rendered,
    reach: Callable[[], KubeApi],
    say: Callable[[str], None],
) -> None:
    """Before `up` or a preview: SettingsError if weights would lose their pods.

    A preview goes on where the cluster cannot be asked.
    """
    servers = _servers(rendered)
    if not servers:
        return
    try:
        with reach() as api:
            problems = [
                problem
                for namespace in sorted({namespace for namespace, _ in servers})
                for route in _routes(api, rendered.stack, namespace)
                for problem in _problems(rendered, servers, namespace, route)
            ]
    except KubeApiError as error:
        text = f"weights of running rollouts could not be read: {error}"
        if verb == "up":
            raise EngineError(rendered.stack, verb, [("", text)]) from None
        say(f"{rendered.stack}: {text}")
        return
    if problems:
        raise SettingsError(stack_files.name(rendered.stack), problems)


def weighted(route: Object) -> dict[str, int]:
    """Services with weight in any of the route's rules, each with its largest."""
    found: dict[str, int] = {}
    for rule in route["spec"].get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            name, weight = backend["name"], int(backend.get("weight", 1))
            if weight:
                found[name] = max(weight, found.get(name, 0))
    return found


def _servers(rendered: Rendered) -> set[tuple[str, str]]:
    """Namespace and name of the servers that have named revisions."""
    return {
        (m["metadata"]["namespace"], m["metadata"]["labels"][INSTANCE])
        for m in rendered.manifests
        if m["kind"] == "Service"
        and naming.REVISION_LABEL in m["metadata"].get("labels", {})
    }


def _routes(api: KubeApi, stack: str, namespace: str) -> list[Object]:
    chosen = (
        f"{naming.STACK_LABEL}={ownership.label(stack)},{COMPONENT}={naming.TRAFFIC}"
    )
    path = ROUTES.format(namespace=namespace)
    return api.items(f"{path}?labelSelector={chosen}")


def _problems(
    rendered: Rendered, servers: set[tuple[str, str]], namespace: str, route: Object
) -> Iterator[Problem]:
    server = route["metadata"]["labels"][INSTANCE]
    if (namespace, server) not in servers:
        return  # the whole server goes, or all of its revisions
    kept = {
        m["metadata"]["name"]
        for m in rendered.manifests
        if m["kind"] == "Service" and m["metadata"]["namespace"] == namespace
    }
    for service, weight in sorted(weighted(route).items()):
        if service not in kept:
            revision = service.removeprefix(f"{server}-")
            yield Problem(
                f"models.{server}.revisions.{revision}",
                "(removed)",
                f"it gets {weight} % of the requests by the rollout",
                f"keep it until it has none: `slipway rollout back {server} --why ...` "
                "gives all to the revision before, `promote` to the new one",
            )
