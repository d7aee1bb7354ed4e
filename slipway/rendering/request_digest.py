"""One digest for all that a program asks of a resource, the same in every process."""

from __future__ import annotations

import hashlib
from typing import Any

_PLACES = ("sourcePosition", "stackTrace", "parentStackTraceHandle")
"""Position of the request in the program's files, which does not matter."""


def digest(request: Any) -> str:
    """SHA-256 of a RegisterResourceRequest or a ReadResourceRequest.

    Inputs count, secret ones among them, and every option, also those that a rendering
    does not show, such as time-outs. What the SDK keeps in sets has no order.
    """
    ordered = type(request)()
    ordered.CopyFrom(request)
    for place in _PLACES:
        ordered.ClearField(place)
    ordered.dependencies.sort()
    for depended in getattr(ordered, "propertyDependencies", {}).values():
        depended.urns.sort()
    written: bytes = ordered.SerializeToString(deterministic=True)
    return hashlib.sha256(written).hexdigest()
