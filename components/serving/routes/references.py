"""What a route names: it must be there before the route, and go after it.

A gateway answers 500 to every request of a rule that names a Service, or an answer of
its own, that does not exist, be it one share of several or a mirror that nobody waits
for. So a route depends on all that it names, read from the route itself: the engine
makes what is depended on first, and removes it last.
https://gateway-api.sigs.k8s.io/reference/spec/#backendref
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

Named = tuple[str, str]
"""Kind and name, in the route's own namespace."""
Thing = TypeVar("Thing")


def named(route: Mapping[str, Any]) -> set[Named]:
    """Backends, mirrors and filters of an HTTPRoute's or GRPCRoute's spec."""
    return {found for rule in route.get("rules", []) for found in _of_rule(rule)}


def needed(route: Mapping[str, Any], made: Mapping[Named, Thing]) -> list[Thing]:
    """What of `made` the route depends on.

    Raises LookupError if the route names something that nothing has made.
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
