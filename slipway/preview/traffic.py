"""Shares of requests that routes send to their backends, before and after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from slipway.preview.report import Share
from slipway.rendering import manifests
from slipway.rendering.recorder import Resource

ROUTES = ("HTTPRoute", "GRPCRoute")
_GATEWAY = "kubernetes:gateway.networking.k8s.io/"
Shares = dict[str, float]
"""Percent by backend."""


def moved(
    stack: str, base: Sequence[Resource], head: Sequence[Resource]
) -> Iterator[Share]:
    """Backends whose share of a rule differs, of rules there before and after.

    A rule is identified by its matches. A route that comes or goes is an object created
    or deleted, and none of these.
    """
    before, after = _routes(base), _routes(head)
    for route in sorted(before.keys() & after.keys()):
        for rule in sorted(before[route].keys() & after[route].keys()):
            old, new = before[route][rule], after[route][rule]
            for backend in sorted({*old, *new}):
                if old.get(backend) != new.get(backend):
                    yield Share(
                        stack, route, rule, backend, old.get(backend), new.get(backend)
                    )


def _routes(resources: Iterable[Resource]) -> dict[str, dict[str, Shares]]:
    return {
        manifests.shown_name(r): _rules(r.inputs["spec"].get("rules") or [])
        for r in resources
        if r.type.startswith(_GATEWAY) and r.type.rpartition(":")[2] in ROUTES
    }


def _rules(rules: Iterable[dict[str, Any]]) -> dict[str, Shares]:
    found = {}
    for rule in rules:
        backends = rule.get("backendRefs") or []
        total = sum(_weight(backend) for backend in backends)
        shares: Shares = {}
        for backend in backends if total else ():
            share = shares.get(backend["name"], 0) + 100 * _weight(backend) / total
            shares[backend["name"]] = round(share, 2)
        found[_matches(rule)] = shares
    return found


def _weight(backend: dict[str, Any]) -> int:
    return int(backend.get("weight", 1))


def _matches(rule: dict[str, Any]) -> str:
    """The rule's matches in few words, each different from others'."""
    texts = []
    for match in rule.get("matches") or []:
        path = (match.get("path") or {}).get("value", "")
        rest = {k: v for k, v in match.items() if k not in ("path", "headers")}
        headers = [f"{h['name']}: {h['value']}" for h in match.get("headers") or []]
        more = [json.dumps(rest, sort_keys=True)] if rest else []
        texts.append(" ".join([path, *headers, *more]).strip())
    return " or ".join(texts) or "all"
