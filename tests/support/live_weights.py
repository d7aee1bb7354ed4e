"""A live route with weights, and what `slipway up` refuses because of it."""

from __future__ import annotations

import httpx

from components import naming, ownership
from components.settings import Problem, SettingsError
from slipway.cluster.kube_api import KubeApi
from slipway.engine import live_weights
from slipway.rendering.render import Rendered
from tests.support.routes import Object


def live_route(weights: dict[str, int], stack: str = "models.test") -> Object:
    return {
        "metadata": {
            "name": "employment-traffic",
            "labels": {
                naming.STACK_LABEL: ownership.label(stack),
                "app.kubernetes.io/instance": "employment",
                "app.kubernetes.io/component": naming.TRAFFIC,
            },
        },
        "spec": {
            "rules": [
                {
                    "backendRefs": [
                        {"name": f"employment-{name}", "weight": weight}
                        for name, weight in weights.items()
                    ]
                }
            ]
        },
    }


def refused(rendered: Rendered, *routes: Object, verb: str = "up") -> list[Problem]:
    """What is refused with these routes in the cluster."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"items": list(routes)})

    def reach() -> KubeApi:
        transport = httpx.MockTransport(answer)
        return KubeApi(httpx.Client(base_url="https://api", transport=transport))

    try:
        live_weights.before(verb, rendered, reach, lambda _: None)
    except SettingsError as error:
        found = error.problems
    else:
        found = []
    assert all("models.test" in url and "traffic" in url for url in asked)
    assert all("slipway rollout " in one.fix for one in found)
    return found
