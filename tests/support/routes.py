"""A server with two revisions behind two API versions, and the route of a request."""

from __future__ import annotations

import json
import re
from typing import Any

from slipway.rendering.render import Rendered
from tests.support import rendered as r

ROUTES = [
    {
        "prefix": "/employment/v1",
        "deprecated": "2026-12-01",
        "sunset": "2027-06-01",
        "successor": "/employment/v2",
    },
    {"prefix": "/employment/v2"},
]
PATHS = ("/infer", "/v2", "/openapi.json")
"""What our own server has for the public."""
Object = dict[str, Any]


def revision(weight: int, **more: Any) -> Object:
    return {"model_image": "employment", "weight": weight} | more


def server(champion: int = 90, **more: Any) -> Object:
    revisions = {
        "champion": revision(champion),
        "challenger": revision(
            100 - champion, model_image="base", arm="canary", **more
        ),
    }
    return {"routes": ROUTES, "revisions": revisions}


def render(args: Object | None = None, **config: Any) -> Rendered:
    return r.models(models={"employment": args or server()}, **config)


def named(rendered: Rendered) -> dict[tuple[str, str], Object]:
    return {(m["kind"], m["metadata"]["name"]): m for m in rendered.manifests}


def rules(rendered: Rendered) -> list[Object]:
    found: list[Object] = r.manifest(rendered, "HTTPRoute")["spec"]["rules"]
    return found


def answers(rendered: Rendered) -> dict[str, Object]:
    """What the gateway answers itself, by the filter's name."""
    return {
        name: m["spec"]["directResponse"]
        for (kind, name), m in named(rendered).items()
        if kind == "HTTPRouteFilter" and "directResponse" in m["spec"]
    }


def chosen(rules: list[Object], path: str, revision: str | None = None) -> Object:
    """The rule that takes a request, by Gateway API's order of precedence."""

    def fits(match: Object) -> bool:
        prefix = match["path"]["value"]
        return (path == prefix or path.startswith(f"{prefix}/")) and all(
            revision is not None
            and (
                header["value"] == revision
                if header["type"] == "Exact"
                else re.fullmatch(header["value"], revision) is not None
            )
            for header in match.get("headers", [])
        )

    found: list[tuple[int, int, int, Object]] = [
        (len(match["path"]["value"]), len(match.get("headers", [])), -number, rule)
        for number, rule in enumerate(rules)
        for match in rule["matches"]
        if fits(match)
    ]
    return max(found, key=lambda item: item[:3])[3] if found else {}


def answer_of(rendered: Rendered, path: str, revision: str | None = None) -> Object:
    """Body of the gateway's own answer to a request."""
    (applied,) = chosen(rules(rendered), path, revision)["filters"]
    told: Object = json.loads(
        answers(rendered)[applied["extensionRef"]["name"]]["body"]["inline"]
    )
    return told


def backends(rendered: Rendered, path: str, revision: str | None = None) -> Object:
    rule = chosen(rules(rendered), path, revision)
    return {b["name"]: b["weight"] for b in rule.get("backendRefs", [])}
