"""The public route of a model: an HTTPRoute, and the gateway's own responses.

Only this module defines public paths, the weights of revisions and the API versions. A
change of a weight changes the HTTPRoute and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from components.contracts import HEADERS
from components.delivery import rollout_file
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import Part
from components.serving.routes.access import request_filters
from components.serving.routes.shadow import without_header
from components.serving.settings.serving_platform import ServingPlatform
from components.serving.settings.versions import Route, siblings

API_VERSION = "gateway.networking.k8s.io/v1"
KIND = "HTTPRoute"
FILTER_API_VERSION = "gateway.envoyproxy.io/v1alpha1"
FILTER_KIND = "HTTPRouteFilter"
"""Envoy Gateway's filter with a direct response, for requests that reach no model."""
REVISION_HEADER = HEADERS["revision"]
SERVICE_PORT = 80

PREFIX = "prefix"
UNKNOWN_PATH = "unknown-path"
UNKNOWN_REVISION = "unknown-revision"
UNKNOWN_VERSION = "unknown-version"

Object = dict[str, Any]


def route_spec(
    server: str, args: ModelServerArgs, parts: Sequence[Part], platform: ServingPlatform
) -> Object:
    """<prefix>/infer, <prefix>/v2/... and so on go to the server without the prefix.

    The longest path decides first, then the number of headers, then the order. Between
    rules of different rank the order has another meaning. Envoy Gateway names the
    cluster of a rule by the rule's index, and a request whose cluster is removed before
    the new routes arrive is answered 503. So what stays keeps its index: first the
    rules that most requests take, last what comes and goes.
    https://github.com/envoyproxy/gateway/issues/9029

    With a rollout the rules by weight are in a route of their own (`traffic_spec`).
    """
    groups = _groups(args)
    rules: list[Object] = []
    if not args.weights_moved:
        rules = [it for group in groups for it in _shared(server, group, args, parts)]
    for part in _stable_first(args, parts):
        if part.revision:
            rules += [_chosen(server, group, args, part) for group in groups]
    refusals = _refusals(server, args, parts)
    return {"parentRefs": parents(platform), "rules": [*rules, *refusals]}


def traffic_spec(
    server: str, args: ModelServerArgs, parts: Sequence[Part], platform: ServingPlatform
) -> Object:
    """The route of a rollout, as it begins; later its rules are the controller's.

    A rule for all API versions with the same headers, each with stable first and the
    canary second. A filter for each backend makes Envoy draw at random, and gives each
    revision a cluster of its own, whose counters the gates compare.
    """
    return {
        "parentRefs": parents(platform),
        "rules": traffic_rules(server, args, parts),
    }


def traffic_rules(
    server: str, args: ModelServerArgs, parts: Sequence[Part]
) -> list[Object]:
    """Return the rules that the controller starts from; it changes only the weights."""
    arms = _stable_first(args, parts)[:2]
    rules = [
        rule for group in _groups(args) for rule in _shared(server, group, args, arms)
    ]
    for rule in rules:
        for backend, part in zip(rule["backendRefs"], arms, strict=True):
            header = {"name": REVISION_HEADER, "value": part.revision}
            backend["filters"] = [
                {
                    "type": "RequestHeaderModifier",
                    "requestHeaderModifier": {"set": [header]},
                }
            ]
    return rules


def traffic_name(server: str) -> str:
    """Return the name of the HTTPRoute of a rollout."""
    return rollout_file.traffic_route(server)


def _groups(args: ModelServerArgs) -> list[list[Route]]:
    """Group API versions by equal headers; the oldest comes first."""
    lasting = [route for route in args.api_versions if not route.headers]
    ending = [route for route in args.api_versions if route.headers]
    return [group for group in (lasting, *([x] for x in reversed(ending))) if group]


def _stable_first(args: ModelServerArgs, parts: Sequence[Part]) -> list[Part]:
    """Put stable first, then the canary, during a rollout; otherwise keep the order.

    The first rule of the server's own route then routes to stable: when a rollout takes
    its weighted rules away, Envoy may still send their requests there for a moment.
    """
    moved = args.weights_moved
    if not moved:
        return list(parts)
    order = [moved.from_, moved.to]
    return sorted(parts, key=lambda it: (it.revision not in order, _place(order, it)))


def _place(order: Sequence[str], part: Part) -> int:
    return order.index(part.revision) if part.revision in order else 0


def parents(platform: ServingPlatform) -> list[Object]:
    """The Gateway that routes attach to."""
    listener = platform.gateway_listener
    return [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": platform.gateway,
            "namespace": platform.gateway_namespace,
            **({"sectionName": listener} if listener else {}),
        }
    ]


def filter_specs(
    server: str, args: ModelServerArgs, parts: Sequence[Part], known: Iterable[str]
) -> dict[str, Object]:
    """Return the HTTPRouteFilters of the rules, by name.

    `known`: prefixes of all models of the stack, which are listed beside this one's.
    """
    routes = args.api_versions
    own = [route.prefix for route in routes]
    paths = args.public_paths(server)
    found = {
        UNKNOWN_PATH: _answer(
            "not_found",
            f"{server} has nothing public here",
            [f"{prefix}{path}" for prefix in own for path in paths],
        )
    }
    if any(route.parent for route in routes):
        found[UNKNOWN_VERSION] = _answer(
            "unknown_api_version",
            f"{server} has no such API version",
            siblings(routes, known),
        )
    if _has_revisions(parts):
        pattern = "|".join(map(re.escape, own))
        found[PREFIX] = {
            "urlRewrite": {
                "path": {
                    "type": "ReplaceRegexMatch",
                    "replaceRegexMatch": {
                        "pattern": f"^(?:{pattern})/",
                        "substitution": "/",
                    },
                }
            }
        }
    named = {f"{server}-{name}": spec for name, spec in found.items()}
    return named | unknown_revision(server, parts)


def unknown_revision(server: str, parts: Sequence[Part]) -> dict[str, Object]:
    """Return the HTTPRouteFilter for an unknown revision, by name."""
    if not _has_revisions(parts):
        return {}
    answer = _answer(
        "unknown_revision",
        f"{server} has no revision of the name in {REVISION_HEADER}",
        [part.revision for part in parts],
    )
    return {f"{server}-{UNKNOWN_REVISION}": answer}


def _has_revisions(parts: Sequence[Part]) -> bool:
    return any(part.revision for part in parts)


def _shared(
    server: str, group: Sequence[Route], args: ModelServerArgs, parts: Sequence[Part]
) -> list[Object]:
    """Rules of API versions with the same headers, for all revisions by weight."""
    paths = args.public_paths(server)
    rest = {"backendRefs": _backends(parts), "timeouts": _timeouts(args)}
    filters = [*request_filters(args.access), *_deprecation_headers(group[0])]
    if not _has_revisions(parts):
        return [
            {
                "matches": _public(group, [path]),
                "filters": [_without_prefix(path), *filters],
                **rest,
            }
            for path in paths
        ]
    # A rule per path and revision would soon exceed what a route can hold, and the
    # standard's rewrite takes one path per rule. So this uses Envoy Gateway's pattern.
    filters = without_header([extension(f"{server}-{PREFIX}"), *filters])
    return [{"matches": _public(group, paths), "filters": filters, **rest}]


def _chosen(
    server: str, group: Sequence[Route], args: ModelServerArgs, part: Part
) -> Object:
    """The same for the revision that the header names."""
    header = {"type": "Exact", "value": part.revision}
    filters = [*request_filters(args.access), *_deprecation_headers(group[0])]
    return {
        "matches": _public(group, args.public_paths(server), header),
        "filters": without_header([extension(f"{server}-{PREFIX}"), *filters]),
        "backendRefs": _backends([part], weight=1),
        "timeouts": _timeouts(args),
    }


def _timeouts(args: ModelServerArgs) -> Object:
    timeout = f"{args.lifecycle.longest_request_seconds}s"
    return {"request": timeout, "backendRequest": timeout}


def _refusals(
    server: str, args: ModelServerArgs, parts: Sequence[Part]
) -> list[Object]:
    """Rules for unknown requests, each with the gateway's own response."""
    routes = args.api_versions
    rules = []
    if _has_revisions(parts):
        anything = {"type": "RegularExpression", "value": ".*"}
        paths = args.public_paths(server)
        rules.append((_public(routes, paths, anything), UNKNOWN_REVISION))
    prefixes = [route.prefix for route in routes]
    rules.append(([{"path": _below(prefix)} for prefix in prefixes], UNKNOWN_PATH))
    parents = sorted({route.parent for route in routes if route.parent})
    if parents:
        rules.append(([{"path": _below(path)} for path in parents], UNKNOWN_VERSION))
    return [
        {"matches": matches, "filters": [extension(f"{server}-{name}")]}
        for matches, name in rules
    ]


def _public(
    routes: Iterable[Route], paths: Sequence[str], revision: Object | None = None
) -> list[Object]:
    headers = [{"name": REVISION_HEADER, **revision}] if revision else None
    return [
        {
            "path": _below(f"{route.prefix}{path}"),
            **({"headers": headers} if headers else {}),
        }
        for route in routes
        for path in paths
    ]


def _below(path: str) -> Object:
    return {"type": "PathPrefix", "value": path}


def _backends(parts: Sequence[Part], weight: int | None = None) -> list[Object]:
    if len(parts) == 1:
        weight = 1
    return [
        {
            "group": "",
            "kind": "Service",
            "name": part.name,
            "port": SERVICE_PORT,
            "weight": part.weight if weight is None else weight,
        }
        for part in parts
    ]


def _without_prefix(path: str) -> Object:
    replacement = {"type": "ReplacePrefixMatch", "replacePrefixMatch": path}
    return {"type": "URLRewrite", "urlRewrite": {"path": replacement}}


def _deprecation_headers(route: Route) -> list[Object]:
    """The headers that announce the end of an API version."""
    headers = [{"name": k, "value": v} for k, v in route.headers.items()]
    if not headers:
        return []
    return [
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": headers}}
    ]


def extension(name: str) -> Object:
    reference = {
        "group": FILTER_API_VERSION.partition("/")[0],
        "kind": FILTER_KIND,
        "name": name,
    }
    return {"type": "ExtensionRef", "extensionRef": reference}


def _answer(code: str, error: str, known: list[str]) -> Object:
    """A 404 in the model server's format, with the known alternatives."""
    text = f"{error}; there is {', '.join(known)}"
    body = json.dumps({"error": text, "code": code, "known": known})
    return {
        "directResponse": {
            "statusCode": 404,
            "contentType": "application/json",
            "body": {"type": "Inline", "inline": body},
        }
    }
