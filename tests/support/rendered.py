"""Stacks rendered with images of the tests' own, and ways to look into them."""

from __future__ import annotations

from typing import Any

from docs import refused_cases
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered, render

reference = refused_cases.reference
MIRRORED = refused_cases.MIRRORED
IMAGES = refused_cases.images()

EMPLOYMENT: dict[str, Any] = {
    "model_image": "employment",
    "route": {"prefix": "/employment/v1"},
}
"""The least that a model with a public path says."""


def models(**config: Any) -> Rendered:
    """The layer `models` with this configuration; one model if it names none."""
    config.setdefault("models", {"employment": EMPLOYMENT})
    return render("models.test", config=config, images=IMAGES)


def model(name: str = "employment", **args: Any) -> Rendered:
    """One model server with these arguments beside its image and route."""
    return models(models={name: {**EMPLOYMENT, **args}})


def manifest(rendered: Rendered, kind: str) -> dict[str, Any]:
    """The only object of its kind."""
    found = [m for m in rendered.manifests if m["kind"] == kind]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def manifest_of(rendered: Rendered, kind: str, component: str) -> dict[str, Any]:
    """The only object of its kind with this role (app.kubernetes.io/component)."""
    found = [
        m
        for m in rendered.manifests
        if m["kind"] == kind
        and m["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} and role {component}"
    return found[0]


def resource(rendered: Rendered, kind: str) -> Resource:
    """The only resource of its kind, with its options."""
    found = [r for r in rendered.resources if r.type.endswith(f":{kind}")]
    assert len(found) == 1, f"{len(found)} resources of kind {kind}"
    return found[0]


def pod(rendered: Rendered) -> dict[str, Any]:
    """The pod of the only Deployment."""
    spec: dict[str, Any] = manifest(rendered, "Deployment")["spec"]["template"]["spec"]
    return spec
