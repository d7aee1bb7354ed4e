"""HTTPRoutes as Envoy's own routes, with the meaning that Gateway API gives to them.

https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from slipway.compose import traffic
from slipway.compose.durations import seconds
from slipway.compose.objects import (
    Object,
    Objects,
    name_of,
    namespace_of,
    problem,
)

Envoy = dict[str, Any]
_LONGEST_SILENCE = 3600
"""Envoy Gateway's own, where a route has a time limit (idleTimeout, v1.9.1)."""
_BY_HAND = "remove it from the route, or run the stack on a cluster"
ANOTHER_HOST: Envoy = {
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host."
                "previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 3,
}
ClusterOf = Callable[[Object, dict[str, Any]], str]
"""Name of the cluster of a backend: takes the HTTPRoute and its backendRef."""


def routes(objects: Objects, cluster_of: ClusterOf) -> list[Envoy]:
    """All routes of all HTTPRoutes, the most specific first."""
    found: list[tuple[tuple[int, ...], Envoy]] = []
    for route in objects.kind("HTTPRoute"):
        for number, rule in enumerate(route["spec"]["rules"]):
            answer = _Answer(objects, route, number, rule, cluster_of)
            found += list(answer.matches())
    # The sort is stable: of equals the first comes first, as Gateway API has it.
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


class _Answer:
    """One rule of an HTTPRoute."""

    def __init__(
        self,
        objects: Objects,
        route: Object,
        number: int,
        rule: dict[str, Any],
        cluster_of: ClusterOf,
    ) -> None:
        self._objects, self._route, self._rule = objects, route, rule
        self._number, self._cluster_of = number, cluster_of
        self._traffic = traffic.of(objects, route)

    def _refuse(self, path: str, value: Any) -> Exception:
        where = f"spec.rules[{self._number}].{path}"
        return problem(
            self._route, where, value, "`slipway compose` does not support it", _BY_HAND
        )

    def matches(self) -> Iterator[tuple[tuple[int, ...], Envoy]]:
        """The rule's routes with their order of precedence."""
        route = f"httproute/{namespace_of(self._route)}/{name_of(self._route)}"
        prefix = f"{route}/rule/{self._number}/match"
        anything = {"path": {"type": "PathPrefix", "value": "/"}}
        for place, match in enumerate(self._rule.get("matches") or [anything]):
            path = match.get("path") or anything["path"]
            # Envoy Gateway's name for it, so that logs read alike.
            yield (
                _precedence(match, path),
                {
                    "name": f"{prefix}/{place}/*",
                    "match": self._match(match, path),
                    **self._action(path),
                },
            )

    def _match(self, match: dict[str, Any], path: dict[str, str]) -> Envoy:
        found = _path_match(path)
        headers = [
            {"name": header["name"], "string_match": _text(header)}
            for header in match.get("headers", [])
        ]
        if method := match.get("method"):
            headers.append({"name": ":method", "string_match": {"exact": method}})
        if headers:
            found["headers"] = headers
        if queries := match.get("queryParams"):
            found["query_parameters"] = [
                {"name": query["name"], "string_match": _text(query)}
                for query in queries
            ]
        return found

    def _action(self, path: dict[str, str]) -> Envoy:
        found: Envoy = {}
        route: Envoy = {}
        for number, one in enumerate(self._rule.get("filters", [])):
            kind = one["type"]
            if kind == "URLRewrite":
                self._rewrite(route, one["urlRewrite"], path)
            elif kind == "RequestHeaderModifier":
                found |= _header_changes("request", one["requestHeaderModifier"])
            elif kind == "ResponseHeaderModifier":
                found |= _header_changes("response", one["responseHeaderModifier"])
            elif kind == "RequestMirror":
                route.setdefault("request_mirror_policies", []).append(
                    self._mirror(one["requestMirror"])
                )
            elif kind == "ExtensionRef":
                self._extension(found, route, one["extensionRef"])
            else:
                raise self._refuse(f"filters[{number}].type", kind)
        if "direct_response" not in found:
            found["route"] = {**self._backends(), **route, **self._limits()}
        return found

    def _rewrite(
        self, route: Envoy, rewrite: dict[str, Any], path: dict[str, str]
    ) -> None:
        if hostname := rewrite.get("hostname"):
            route["host_rewrite_literal"] = hostname
        change = rewrite.get("path", {})
        if "replaceFullPath" in change:
            raise self._refuse("filters.urlRewrite.path", change)
        if "replacePrefixMatch" not in change:
            return
        to, prefix = change["replacePrefixMatch"], path["value"].rstrip("/")
        if to.rstrip("/"):
            route["prefix_rewrite"] = to.rstrip("/")
        else:  # a plain replacement of /a in /a/b by / would make //b of it
            pattern = {"regex": f"^{re.escape(prefix)}/*"}
            route["regex_rewrite"] = {"pattern": pattern, "substitution": "/"}

    def _mirror(self, mirror: dict[str, Any]) -> Envoy:
        found: Envoy = {"cluster": self._cluster_of(self._route, mirror["backendRef"])}
        percent, fraction = mirror.get("percent"), mirror.get("fraction")
        if percent is not None or fraction:
            of = fraction or {"numerator": percent, "denominator": 100}
            share = round(1_000_000 * of["numerator"] / of.get("denominator", 100))
            default = {"numerator": share, "denominator": "MILLION"}
            found["runtime_fraction"] = {"default_value": default}
        return found

    def _extension(self, found: Envoy, route: Envoy, reference: dict[str, Any]) -> None:
        """Envoy Gateway's HTTPRouteFilter: an answer of its own, or another path."""
        extra = self._objects.find(
            reference["kind"], reference["name"], namespace_of(self._route)
        )
        spec = (extra or {}).get("spec", {})
        if set(spec) == {"directResponse"}:
            found |= self._direct(spec["directResponse"])
            return
        change = spec.get("urlRewrite", {}).get("path", {})
        if set(spec) != {"urlRewrite"} or change.get("type") != "ReplaceRegexMatch":
            raise self._refuse("filters.extensionRef", reference)
        by = change["replaceRegexMatch"]
        route["regex_rewrite"] = {
            "pattern": {"regex": by["pattern"]},
            "substitution": by["substitution"],
        }

    def _direct(self, direct: dict[str, Any]) -> Envoy:
        found: Envoy = {"direct_response": {"status": direct.get("statusCode", 200)}}
        body = direct.get("body")
        if body:
            if body.get("type", "Inline") != "Inline":
                raise self._refuse("filters.extensionRef.body", body)
            found["direct_response"]["body"] = {"inline_string": body["inline"]}
        if kind := direct.get("contentType"):
            found["response_headers_to_add"] = [_header("Content-Type", kind)]
        return found

    def _backends(self) -> Envoy:
        backends = self._rule.get("backendRefs") or []
        if not backends:
            raise self._refuse("backendRefs", backends)
        if any(backend.get("filters") for backend in backends):
            raise self._refuse("backendRefs.filters", backends)
        weighted = [
            {
                "name": self._cluster_of(self._route, backend),
                "weight": backend.get("weight", 1),
            }
            for backend in backends
        ]
        if len(weighted) == 1:
            return {"cluster": weighted[0]["name"]}
        return {"weighted_clusters": {"clusters": weighted}}

    def _limits(self) -> Envoy:
        retries = traffic.retries(self._traffic, ANOTHER_HOST)
        return {**self._timeouts(), **retries}

    def _timeouts(self) -> Envoy:
        """Timeouts of the whole response and of pauses in it, as in Envoy Gateway.

        Without the second, Envoy would end a response after a pause of five minutes,
        whatever the first timeout is.
        """
        request = self._rule.get("timeouts", {}).get("request")
        whole = seconds(request) if request else None
        found = {} if whole is None else {"timeout": f"{whole:g}s"}
        silence = self._silence()
        if silence is None and whole is not None:
            silence = max(whole, _LONGEST_SILENCE) if whole else 0
        return found if silence is None else {**found, "idle_timeout": f"{silence:g}s"}

    def _silence(self) -> float | None:
        """The streamIdleTimeout that a policy gives to the route."""
        http = self._traffic.get("timeout", {}).get("http", {})
        idle = http.get("streamIdleTimeout")
        return seconds(idle) if idle else None


def _precedence(match: dict[str, Any], path: dict[str, str]) -> tuple[int, ...]:
    kinds = ("Exact", "RegularExpression", "PathPrefix")
    return (
        kinds.index(path["type"]),
        -len(path["value"]),
        0 if match.get("method") else 1,
        -len(match.get("headers", [])),
        -len(match.get("queryParams", [])),
    )


def _path_match(path: dict[str, str]) -> Envoy:
    kind, value = path["type"], path["value"]
    if kind == "Exact":
        return {"path": value}
    if kind == "RegularExpression":
        return {"safe_regex": {"regex": value}}
    prefix = value.rstrip("/")
    return {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}


def _text(one: dict[str, str]) -> Envoy:
    if one.get("type", "Exact") == "Exact":
        return {"exact": one["value"]}
    return {"safe_regex": {"regex": one["value"]}}


def _header(name: str, value: str, *, append: bool = False) -> Envoy:
    kept = "APPEND_IF_EXISTS_OR_ADD" if append else "OVERWRITE_IF_EXISTS_OR_ADD"
    # Envoy replaces %NAME%.
    text = value.replace("%", "%%")
    return {"header": {"key": name, "value": text}, "append_action": kept}


def _header_changes(side: str, change: dict[str, Any]) -> Envoy:
    found: Envoy = {}
    headers = [_header(one["name"], one["value"]) for one in change.get("set", [])]
    headers += [
        _header(one["name"], one["value"], append=True) for one in change.get("add", [])
    ]
    if headers:
        found[f"{side}_headers_to_add"] = headers
    if removed := change.get("remove"):
        found[f"{side}_headers_to_remove"] = list(removed)
    return found
