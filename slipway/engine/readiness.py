"""Wait until objects can be used, and report the conditions that prevent it.

The engine is done when the API server has an object. A route that no gateway takes, or
a policy that no controller accepts, is there and does nothing: callers get 404. So
after `up` the conditions are read that controllers report of each object (`EXPECTED`),
and waited for: for a bounded time, and no longer than a refusal stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.cluster.kube_api import ForbiddenError, KubeApi, KubeApiError, Object
from slipway.engine import existing, stack_api
from slipway.engine.existing import Key, Wanted
from slipway.rendering.render import Rendered
from slipway.waiting import Waiting, shortened

SECONDS = 90.0
"""Seconds to wait for all objects of a stack together."""
SETTLED_SECONDS = 15.0
"""Seconds after which unchanged refusals count as final. A controller that has just
seen half of the objects rejects what it accepts a moment later."""
TOLD_SECONDS = 5.0
"""Seconds for which a warning must last if nothing else is missing."""
POLL_SECONDS = 1.0
UNFINISHED = frozenset({"AddressNotAssigned", "NoResources", "Pending", "Unknown"})
"""Reasons of a condition that does not hold yet: the controller is still working, for
example because the proxy's pods start. Values of GatewayConditionReason in
https://gateway-api.sigs.k8s.io/reference/spec"""

GATEWAY = "gateway.networking.k8s.io"
ENVOY = "gateway.envoyproxy.io"


@dataclass(frozen=True)
class Expected:
    """The conditions that a controller should set on a kind of object."""

    lists: str = ""
    """Field of the status with an entry for each parent (`parents`, `ancestors`); empty
    if the conditions are the object's own."""
    true: tuple[str, ...] = ("Accepted",)
    """Conditions that must be true before the object can be used."""
    warnings: tuple[tuple[str, str], ...] = ()
    """Conditions, each with the status that causes a warning."""
    parts: str = ""
    """Field of the status with parts whose False conditions are reported."""


_ROUTE = Expected(
    "parents",
    ("Accepted", "ResolvedRefs"),
    # The first two are Envoy Gateway's; the third is the standard's.
    (
        ("RouteRulesOverlap", "True"),
        ("BackendsAvailable", "False"),
        ("PartiallyInvalid", "True"),
    ),
)
_POLICY = Expected("ancestors", warnings=(("Warning", "True"),))

EXPECTED: dict[tuple[str, str], Expected] = {
    (GATEWAY, "GatewayClass"): Expected(),
    (GATEWAY, "Gateway"): Expected(true=("Accepted", "Programmed"), parts="listeners"),
    (GATEWAY, "HTTPRoute"): _ROUTE,
    (GATEWAY, "GRPCRoute"): _ROUTE,
    (GATEWAY, "BackendTLSPolicy"): Expected("ancestors", ("Accepted", "ResolvedRefs")),
    (ENVOY, "BackendTrafficPolicy"): _POLICY,
    (ENVOY, "ClientTrafficPolicy"): _POLICY,
    (ENVOY, "EnvoyExtensionPolicy"): _POLICY,
    (ENVOY, "SecurityPolicy"): _POLICY,
    ("keda.sh", "ScaledObject"): Expected(
        true=("Ready",), warnings=(("Fallback", "True"), ("Paused", "True"))
    ),
}
"""By API group and kind. Polarity and meaning:
https://gateway-api.sigs.k8s.io/reference/spec, https://gateway.envoyproxy.io/docs/api,
https://keda.sh/docs/latest/reference/scaledobject-spec"""


@dataclass
class Seen:
    """The missing conditions of a stack's objects, and the warnings."""

    missing: list[str] = field(default_factory=list)
    refused: bool = True
    """Whether all missing conditions are refusals, and none is unset."""
    hopeless: bool = False
    """Whether waiting is useless: a reference of the route does not exist."""
    warnings: list[str] = field(default_factory=list)


def of_stack(rendered: Rendered, root: Path | None, waiting: Waiting) -> Seen:
    """Waits in the stack's cluster; a warning where that cannot be asked."""
    if not _expected(rendered):
        return Seen()
    try:
        with stack_api.of_stack(rendered.stack, root) as api:
            return wait(api, rendered, waiting)
    except KubeApiError as error:
        return Seen(warnings=[f"readiness could not be checked: {error}"])


def wait(api: KubeApi, rendered: Rendered, waiting: Waiting) -> Seen:
    """Wait until nothing is missing or the time is over; return what is still missing.

    KubeApiError if the API server does not do what is asked.
    """
    wanted = _expected(rendered)
    paths = existing.paths(api, wanted)
    begin = since = waiting.now()
    before: list[str] | None = None
    while True:
        seen = _look(api, wanted, paths)
        now = waiting.now()
        if before is None and seen.missing and not seen.hopeless:
            waiting.say(f"waiting for {shortened(seen.missing)}")
        if [*seen.missing, *seen.warnings] != before:
            before, since = [*seen.missing, *seen.warnings], now
        last = SETTLED_SECONDS if seen.missing else TOLD_SECONDS
        settled = seen.refused and now - since >= last
        late = now - begin >= SECONDS
        if not before or seen.hopeless or settled or late:
            return seen
        waiting.sleep(POLL_SECONDS)


def _expected(rendered: Rendered) -> list[Wanted]:
    return [w for w in existing.every(rendered) if _kind(w) in EXPECTED]


def _kind(wanted: Wanted) -> tuple[str, str]:
    return (wanted.key[0], wanted.kind)


def _look(api: KubeApi, wanted: list[Wanted], paths: dict[Key, str]) -> Seen:
    seen = Seen()
    for one in wanted:
        path = paths.get(one.key)
        found = api.get(path) if path else None
        if found is None:
            seen.missing.append(f"{one.reference}: it no longer exists")
            seen.hopeless = True
            continue
        expected = EXPECTED[_kind(one)]
        missing = list(_missing(found, expected))
        # A controller sets no condition on a route to an unknown Gateway.
        gone = list(_gone(api, found)) if missing else []
        seen.hopeless = seen.hopeless or bool(gone)
        seen.refused = seen.refused and all(refusal for _, refusal in missing)
        texts = gone or [text for text, _ in missing]
        seen.missing += [f"{one.reference}: {text}" for text in texts]
        seen.warnings += [
            f"{one.reference}: {text}" for text in _warnings(found, expected)
        ]
    return seen


def _missing(found: Object, expected: Expected) -> Iterator[tuple[str, bool]]:
    """Why the object cannot be used, and whether a controller reported it."""
    for whose, entries in _entries(found, expected):
        if not entries:
            yield f"no controller has processed it yet{whose}", False
            continue
        problems = [
            [_problem(entry, kind, found) for kind in expected.true]
            for entry in entries
        ]
        # Of several controllers, one that accepts it is enough.
        best = min(problems, key=lambda each: len([p for p in each if p]))
        for problem in filter(None, best):
            text, refusal = problem
            yield f"{text}{whose}", refusal


def _entries(found: Object, expected: Expected) -> Iterator[tuple[str, list[Object]]]:
    """Yield each parent's description, and its conditions."""
    status = found.get("status") or {}
    if not expected.lists:
        yield "", [status]
        return
    said = status.get(expected.lists) or []
    parents = (found.get("spec") or {}).get("parentRefs")
    if expected.lists != "parents" or not parents:
        yield "", said
        return
    for parent in parents:
        own = _identity(parent, found)
        matching = [
            e for e in said if _identity(e.get("parentRef") or {}, found) == own
        ]
        yield f" at {_shown(parent, found)}", matching


def _identity(reference: Object, found: Object) -> tuple[Any, ...]:
    return (
        reference.get("kind", "Gateway"),
        reference.get("namespace") or found["metadata"].get("namespace"),
        reference.get("name"),
        reference.get("sectionName"),
        reference.get("port"),
    )


def _shown(reference: Object, found: Object) -> str:
    kind, namespace, name, section, _ = _identity(reference, found)
    return f"{kind} {namespace}/{name}" + (f", listener {section}" if section else "")


def _problem(entry: Object, kind: str, found: Object) -> tuple[str, bool] | None:
    """Why a condition does not hold, and whether the controller has refused it."""
    condition = _condition(entry, kind, found)
    if condition is None:
        return f"{kind} has not been reported yet", False
    if condition.get("status") == "True":
        return None
    return _text(condition), condition.get("reason") not in UNFINISHED


def _condition(entry: Object, kind: str, found: Object) -> Object | None:
    """Return the condition, unless it is about an earlier generation of the object."""
    generation = found["metadata"].get("generation", 0)
    for one in entry.get("conditions") or ():
        if one.get("type") == kind:
            observed = one.get("observedGeneration", generation)
            return one if observed >= generation else None
    return None


def _text(condition: Object) -> str:
    reason = condition.get("reason") or "no reason given"
    message = str(condition.get("message") or "").strip()
    said = f"{condition['type']} is {condition.get('status')} ({reason})"
    return f"{said}: {message}" if message else said


def _warnings(found: Object, expected: Expected) -> Iterator[str]:
    for whose, entries in _entries(found, expected):
        for entry in entries:
            for kind, status in expected.warnings:
                condition = _condition(entry, kind, found)
                if condition and condition.get("status") == status:
                    yield f"{_text(condition)}{whose}"
    for part in (found.get("status") or {}).get(expected.parts) or ():
        for kind in ("Accepted", "ResolvedRefs", "Programmed"):
            condition = _condition(part, kind, found)
            if condition and condition.get("status") == "False":
                yield f"{part.get('name')}: {_text(condition)}"


def _gone(api: KubeApi, found: Object) -> Iterator[str]:
    """Return the Gateways that a route names and that do not exist."""
    for parent in (found.get("spec") or {}).get("parentRefs") or ():
        kind, namespace, name, _, _ = _identity(parent, found)
        path = f"/apis/{GATEWAY}/v1/namespaces/{namespace}/gateways/{name}"
        with suppress(ForbiddenError):  # it may exist
            if kind == "Gateway" and api.metadata(path) is None:
                yield f"there is no {_shown(parent, found)}"
