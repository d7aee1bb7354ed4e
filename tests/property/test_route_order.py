"""A route never names what its stack has not made before it, or removes before it.

The engine makes a resource after all that it depends on, and removes it before them.
So it is enough that whatever a route needs is among its dependencies, near or far, and
that no change of settings gives an object of the same name to another resource: the
engine would then delete at the end what it has just made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.serving.routes import references
from slipway.rendering import manifests
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered
from tests.support.rendered import models, reference

Draw = Any
Config = dict[str, Any]
Key = tuple[str, str]
FEW = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
REVISIONS = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
SERVER = "model"
KEYS = {"callers": {"team": {"secure": "v1:as-the-engine-encrypts"}}}
ROUTES = ("HTTPRoute", "GRPCRoute")
POLICIES = ("SecurityPolicy", "BackendTrafficPolicy")


@st.composite
def server(draw: Draw) -> Config:
    """A server with any of: routes, gRPC, revisions, access, scaling by requests."""
    names = draw(st.lists(REVISIONS, max_size=3, unique=True))
    shares = [100 - 10 * (len(names) - 1), *[10] * (len(names) - 1)]
    grpc = draw(st.booleans())
    found: Config = {"runtime": {"kind": "onnx", "grpc": grpc}, "grpc_route": grpc}
    if draw(st.booleans()) or not grpc:
        found["route"] = {"prefix": draw(st.sampled_from(["/m", "/m/v1"]))}
    if draw(st.booleans()):
        found["access"] = {"api_keys": {"secret": "callers"}}
    if draw(st.booleans()):
        found["scaling"] = {"signal": "inflight", "inflight_per_replica": 4}
    if names:
        found["revisions"] = {
            name: {"model_image": reference(name), "weight": share}
            for name, share in zip(names, shares, strict=True)
        }
    else:
        found["model_image"] = "employment"
    return found


def render(args: Config) -> Rendered:
    return models(
        models={SERVER: args},
        platform={"keda": {}},
        **({"client_keys": KEYS} if "access" in args else {}),
    )


def objects(rendered: Rendered) -> dict[Key, Resource]:
    return {
        (content["kind"], content["metadata"]["name"]): resource
        for resource in rendered.resources
        if manifests.is_object(resource) and (content := manifests.manifest(resource))
    }


def before(rendered: Rendered, resource: Resource) -> set[str]:
    """All that the engine makes before a resource, and removes after it."""
    known = {one.urn: one for one in rendered.resources}
    found: set[str] = set()
    waiting = [resource.urn]
    while waiting:
        for urn in known[waiting.pop()].depends_on:
            if urn not in found:
                found.add(urn)
                waiting.append(urn)
    return found


def asked(spec: Config) -> Iterator[Key]:
    """What an access policy requires."""
    for one in spec.get("apiKeyAuth", {}).get("credentialRefs", []):
        yield one["kind"], one["name"]


def needed(rendered: Rendered, kind: str, resource: Resource) -> set[Key]:
    """What must be there for as long as a route is."""
    spec = resource.inputs["spec"]
    found = references.named(spec)
    targets = {name for kind_, name in found if kind_ == "Service"}
    found |= {("Deployment", name) for name in targets}
    for policy in POLICIES:
        for (kind_, name), one in objects(rendered).items():
            of = one.inputs["spec"].get("targetRefs", []) if kind_ == policy else []
            if any(target["kind"] == kind for target in of):
                found |= {(kind_, name), *asked(one.inputs["spec"])}
    return found


@FEW
@given(server())
def test_what_a_route_needs_is_made_before_it_and_removed_after_it(
    args: Config,
) -> None:
    rendered = render(args)
    made = objects(rendered)
    ways = {key: one for key, one in made.items() if key[0] in ROUTES}
    assert len(ways) == ("route" in args) + args["grpc_route"]
    for (kind, _), resource in ways.items():
        wanted = needed(rendered, kind, resource)
        assert wanted <= set(made), "a route names what nothing makes"
        first = before(rendered, resource)
        late = {key for key in wanted if made[key].urn not in first}
        assert late == set()
        # Each revision by weight or by name, and the access policies if there are any.
        assert {name for kind_, name in wanted if kind_ == "Service"} == {
            f"{SERVER}-{name}" for name in args.get("revisions", {})
        } or {SERVER}
        assert (("Secret", "callers") in wanted) == ("access" in args)


@FEW
@given(server())
def test_a_service_is_removed_after_its_pods_have_drained(args: Config) -> None:
    rendered = render(args)
    made = objects(rendered)
    services = {name for kind, name in made if kind == "Service"}
    assert services
    for name in services:
        service, pods = made["Service", name], made["Deployment", name]
        assert service.urn in before(rendered, pods)
        # Else the engine waits for endpoints, and the pods for the Service.
        assert "pulumi.com/waitFor" in service.inputs["metadata"]["annotations"]


@FEW
@given(server(), server())
def test_a_change_gives_no_object_to_another_resource(old: Config, new: Config) -> None:
    earlier, later = objects(render(old)), objects(render(new))
    moved = {
        key
        for key in earlier.keys() & later.keys()
        if earlier[key].urn != later[key].urn
    }
    assert moved == set()


MIRROR = {"backendRef": {"name": "shadow", "port": 80}}
BACKEND = {"kind": "Service", "name": "model", "port": 80}
RULES: dict[str, Config] = {
    "a backend": {"backendRefs": [{"name": "shadow", "port": 80, "weight": 0}]},
    "a mirror of the rule": {
        "backendRefs": [BACKEND],
        "filters": [{"type": "RequestMirror", "requestMirror": MIRROR}],
    },
    "a mirror of one backend": {
        "backendRefs": [
            BACKEND | {"filters": [{"type": "RequestMirror", "requestMirror": MIRROR}]}
        ]
    },
}


@pytest.mark.parametrize("how", RULES)
def test_a_route_to_what_is_not_made_is_no_route(how: str) -> None:
    spec = {"rules": [{"backendRefs": [BACKEND]}, RULES[how]]}
    made = {("Service", "model"): 1}
    with pytest.raises(LookupError, match="Service shadow"):
        references.needed(spec, made)
    assert references.needed(spec, {**made, ("Service", "shadow"): 2}) == [1, 2]
