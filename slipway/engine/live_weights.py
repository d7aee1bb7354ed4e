"""Refuses to remove a revision that still gets requests by the live weights.

The stack does not know the weights of a rollout or an experiment: the controller writes
them. Pods that go while their revision has weight would fail its requests, so the live
route is read. A gateway may also refuse a rule that names a Service which is gone, even
with weight 0: a route that stays must have let go of it before. And the controller
takes over a route only if the next pair has all of its requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from components import naming, ownership
from components.delivery.rollout_file import PARTS, PLACES_KEY, setting_of
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

    A preview continues if the cluster cannot be reached.
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


def weights(route: Object) -> dict[str, int]:
    """Services that the route's rules name, each with its largest percentage."""
    found: dict[str, int] = {}
    for rule in route["spec"].get("rules") or ():
        given = {
            backend["name"]: int(backend.get("weight", 1))
            for backend in rule.get("backendRefs") or ()
        }
        is_controllers = sum(given.values()) >= 100 * PARTS
        for name, weight in given.items():
            percent = weight // PARTS if is_controllers else weight
            found[name] = max(percent, found.get(name, 0))
    return found


def _servers(rendered: Rendered) -> set[tuple[str, str]]:
    """Return namespace and name of the servers with named revisions."""
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
        return  # the whole server is removed, or all of its revisions
    kept = {
        (m["kind"], m["metadata"]["name"])
        for m in rendered.manifests
        if m["metadata"].get("namespace") == namespace
    }
    wanted = _wanted(rendered, namespace, server)
    yield from _problems_of_pair(wanted, server, route)
    stays = ("HTTPRoute", route["metadata"]["name"]) in kept
    for service, weight in sorted(weights(route).items()):
        if ("Service", service) in kept or not (weight or stays):
            continue
        path = f"models.{server}.revisions.{service.removeprefix(f'{server}-')}"
        if weight:
            yield Problem(
                path,
                "(removed)",
                f"it gets {weight} % of the requests now",
                f"keep it until it has none: `slipway rollout back {server} --why ...` "
                "gives all to the revision before, `promote` to the new one; of an "
                "experiment, `slipway experiment stop` gives all to the control",
            )
        else:
            yield Problem(
                path,
                "(removed)",
                "the route of the weights still names it, with weight 0",
                f"keep it and change {setting_of(wanted)} to the next pair first; "
                f"remove it once `slipway rollout status {server}` shows that pair",
            )


def _problems_of_pair(
    wanted: Mapping[str, str], server: str, route: Object
) -> Iterator[Problem]:
    """Report a rollout or experiment of two revisions while a third has requests."""
    places = json.loads(wanted.get(PLACES_KEY, "{}"))
    pair = {it["service"] for it in places.values()}
    rules = route["spec"].get("rules") or ()
    divided = [rule for rule in rules if len(rule.get("backendRefs") or ()) > 1]
    third = {
        service.removeprefix(f"{server}-"): weight
        for service, weight in weights({"spec": {"rules": divided}}).items()
        if weight and service not in pair
    }
    if pair and third:
        share = ", ".join(f"{it} {weight} %" for it, weight in sorted(third.items()))
        yield Problem(
            f"models.{server}.{setting_of(wanted)}",
            " and ".join(sorted(it.removeprefix(f"{server}-") for it in pair)),
            f"other revisions get requests now: {share}",
            "keep the setting that runs until a revision of the next pair has all "
            f"requests: `slipway rollout promote {server} --weight 100 --why ...` or "
            "`back`; of an experiment, `slipway experiment conclude` or `stop`",
        )


def _wanted(rendered: Rendered, namespace: str, server: str) -> Mapping[str, str]:
    """Return the controller's configuration of the server; empty without one."""
    for one in rendered.manifests:
        metadata = one["metadata"]
        place = (one["kind"], metadata.get("namespace"), metadata["name"])
        if place == ("ConfigMap", namespace, f"rollout-{server}"):
            data: Mapping[str, str] = one["data"]
            return data
    return {}
