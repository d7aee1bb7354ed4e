"""The public gRPC route of a model: a GRPCRoute at the gateway that HTTP also uses.

gRPC paths contain only service and method, which are the same for all models. Callers
therefore name the server in a header, as they name a revision
(docs/decisions/0029-grpc-at-the-gateway.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from components.contracts import HEADERS
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import Part
from components.serving.routes.access import Policy, request_filters
from components.serving.routes.route import (
    REVISION_HEADER,
    extension,
    parents,
    unknown_revision,
)
from components.serving.settings.serving_platform import ServingPlatform

API_VERSION = "gateway.networking.k8s.io/v1"
KIND = "GRPCRoute"
MODEL_HEADER = HEADERS["model"]
TRAFFIC = "BackendTrafficPolicy"

Object = dict[str, Any]


def route_spec(
    server: str, args: ModelServerArgs, parts: Sequence[Part], platform: ServingPlatform
) -> Object:
    """Return the spec that routes public methods to the server that the header names.

    Requests are unchanged. Each revision has a rule by name; all others are by weight.
    Of matches with equal methods, the one with more headers wins, then exact ones
    precede patterns. Permanent rules come first, as in the HTTPRoute.
    """
    methods = args.runtime.FACTS.grpc_public
    named = [_header(MODEL_HEADER, server)]
    filters = request_filters(args.access)
    taken = {"filters": filters} if filters else {}
    backends = _backends(parts, args)
    rules: list[Object] = [
        {"matches": _matches(methods, *named), **taken, "backendRefs": backends}
    ]
    for part in parts:
        if part.revision:
            chosen = _header(REVISION_HEADER, part.revision)
            matches = _matches(methods, *named, chosen)
            backends = _backends([part], args)
            rules.append({"matches": matches, **taken, "backendRefs": backends})
    for name in unknown_revision(server, parts):
        anything = _header(REVISION_HEADER, ".*", kind="RegularExpression")
        matches = _matches(methods, *named, anything)
        rules.append({"matches": matches, "filters": [extension(name)]})
    return {"parentRefs": parents(platform), "rules": rules}


def _header(name: str, value: str, kind: str = "Exact") -> Object:
    return {"type": kind, "name": name, "value": value}


def _matches(methods: Iterable[str], *headers: Object) -> list[Object]:
    return [{"method": _method(name), "headers": list(headers)} for name in methods]


def _backends(parts: Sequence[Part], args: ModelServerArgs) -> list[Object]:
    return [
        {
            "group": "",
            "kind": "Service",
            "name": part.name,
            "port": args.runtime.grpc_port,
            "weight": part.weight if len(parts) > 1 else 1,
        }
        for part in parts
    ]


def _method(path: str) -> Object:
    service, _, method = path.partition("/")
    return {"type": "Exact", "service": service, "method": method}


def guarded(
    policies: Iterable[Policy], server: str, args: ModelServerArgs
) -> Iterator[Policy]:
    """Apply the policies of the server's HTTPRoute to its GRPCRoute as well.

    A GRPCRoute has no timeouts of its own, and Envoy would end calls after 15 s. The
    HTTPRoute's rules set the same timeouts and take precedence.
    """
    target = {
        "group": API_VERSION.partition("/")[0],
        "kind": KIND,
        "name": server,
    }
    found = {policy.kind: policy.spec for policy in policies}
    timeout = f"{args.lifecycle.longest_request_seconds}s"
    traffic = found[TRAFFIC]
    http = {**traffic["timeout"].get("http", {}), "requestTimeout": timeout}
    timeouts = {**traffic["timeout"], "http": http}
    found[TRAFFIC] = {**traffic, "timeout": timeouts}
    for kind, spec in found.items():
        targets = spec["targetRefs"] if args.api_versions else []
        yield Policy(kind, {**spec, "targetRefs": [*targets, target]})
