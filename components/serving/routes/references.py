"""Objects that a route refers to: they must be created before it and deleted after.

A gateway returns 500 for every request of a rule that refers to a missing Service or
filter, even for one share of several, or for a mirror whose response nobody waits for.
A route therefore depends on all its references, which are read from the route itself.
The engine creates dependencies first and deletes them last.
https://gateway-api.sigs.k8s.io/reference/spec/#backendref
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

Named = tuple[str, str]
"""Kind and name, in the route's own namespace."""
Thing = TypeVar("Thing")


def named(route: Mapping[str, Any]) -> set[Named]:
    """Return backends, mirrors and filters of an HTTPRoute's or GRPCRoute's spec."""
    return {found for rule in route.get("rules", []) for found in _of_rule(rule)}


def needed(route: Mapping[str, Any], made: Mapping[Named, Thing]) -> list[Thing]:
    """Return the objects of `made` that the route depends on.

    Raises LookupError if the route refers to an object that is not in `made`.
    """
    wanted = sorted(named(route))
    if missing := [name for name in wanted if name not in made]:
        listed = ", ".join(" ".join(name) for name in missing)
        raise LookupError(
            f"a route refers to objects that its stack does not create: {listed}"
        )
    return [made[name] for name in wanted]


def _of_rule(rule: Mapping[str, Any]) -> Iterator[Named]:
    for backend in rule.get("backendRefs", []):
        yield _target(backend)
        yield from _of_filters(backend)
    yield from _of_filters(rule)


def _of_filters(holder: Mapping[str, Any]) -> Iterator[Named]:
    for one in holder.get("filters", []):
        if mirror := one.get("requestMirror"):
            yield _target(mirror["backendRef"])
        if extension := one.get("extensionRef"):
            yield _target(extension)


def _target(reference: Mapping[str, Any]) -> Named:
    return reference.get("kind", "Service"), reference["name"]
