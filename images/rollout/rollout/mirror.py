"""Copies of requests to a revision without weight: how the route says so.

Envoy Gateway copies a share of a rule's requests (`RequestMirror`) and throws the
copies' answers away. A copy has all headers of its request, also those that the rule
and its backend set, so nothing but one of our own tells it apart: SHADOW names the
revision that gets copies, and a model server of that revision knows them by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHADOW = "x-model-shadow"
HEADERS = "RequestHeaderModifier"
MIRROR = "RequestMirror"
ALL = 100

Object = dict[str, Any]


def add(rule: Object, service: str, revision: str, percent: int) -> None:
    """Let a rule copy so many percent of its requests to one of its backends."""
    (backend,) = (it for it in rule["backendRefs"] if it["name"] == service)
    target = {name: backend[name] for name in ("group", "kind", "name", "port")}
    filters = rule.setdefault("filters", [])
    _name(filters, revision)
    copies = {"backendRef": target, "percent": percent}
    filters.append({"type": MIRROR, "requestMirror": copies})


def read(rule: Object, names: Mapping[str, str]) -> dict[str, int]:
    """Percent of the requests that are copied, by revision or else by Service."""
    found = {}
    for one in rule.get("filters") or []:
        if one["type"] == MIRROR:
            copies = one["requestMirror"]
            service = copies["backendRef"]["name"]
            found[names.get(service, service)] = int(copies.get("percent", ALL))
    return found


def _name(filters: list[Object], revision: str) -> None:
    """Set the header in place of the rule's filter that takes it off requests."""
    for one in filters:
        if one["type"] == HEADERS:
            changes = one["requestHeaderModifier"]
            break
    else:
        changes = {}
        filters.append({"type": HEADERS, "requestHeaderModifier": changes})
    left = [it for it in changes.pop("remove", []) if it.lower() != SHADOW]
    if left:
        changes["remove"] = left
    changes["set"] = [*changes.get("set", []), {"name": SHADOW, "value": revision}]
