"""API versions: a model's public paths, kept apart from the model's revisions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from components.setting_types import PathPrefix, path_prefix
from components.settings import Problem, Settings, refuse

MOST_RULES = 16
MOST_RULE_MATCHES = 64
MOST_MATCHES = 127
"""Of one HTTPRoute, by its schema (Gateway API v1)."""
_VERSIONED = re.compile(r"(/.+)/v[0-9][A-Za-z0-9._-]*")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!#-;=?-~]*)?")
_DAY = re.compile(r"([0-9-]{10})([T ]00:00:00(Z|\+00:00| \+0000 UTC)?)?")
"""The engine hands over `2027-06-30` without quotes as its midnight."""


def _day(value: Any) -> date:
    """A day, however YAML's readers hand it over: as text, a day, or its midnight."""
    text = value.isoformat() if isinstance(value, date) else str(value)
    match = _DAY.fullmatch(text)
    try:
        return date.fromisoformat(match[1] if match else "")
    except ValueError:
        refuse("not a valid date", "give year, month and day, such as 2027-06-30")


def _successor(text: str) -> str:
    return text if _ADDRESS.fullmatch(text) else path_prefix(text)


Day = Annotated[date, BeforeValidator(_day)]
"""A day; its midnight is meant, in UTC."""


class Route(Settings):
    """One API version: its path at the gateway, and when it comes to an end."""

    prefix: PathPrefix
    """Path of the API version, such as /employment/v1; the gateway strips it."""
    deprecated: Day | None = None
    """Day from which callers should use another version; every response announces it
    (RFC 9745)."""
    sunset: Day | None = None
    """Day from which it may be removed; every response announces it (RFC 8594)."""
    successor: Annotated[str, AfterValidator(_successor)] | None = None
    """API version to use instead: a prefix of this stack, or an http(s) address."""

    @property
    def parent(self) -> str | None:
        """Path that holds the model's API versions; None if there is only one."""
        return _parent(self.prefix)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every response that announce the end of this API version."""
        found = {}
        if self.deprecated:
            found["Deprecation"] = f"@{int(_midnight(self.deprecated).timestamp())}"
        if self.sunset:
            found["Sunset"] = format_datetime(_midnight(self.sunset), usegmt=True)
        if self.successor:
            found["Link"] = f'<{self.successor}>; rel="successor-version"'
        return found

    def contradictions(self) -> Iterator[Problem]:
        """An end before its announcement; a successor of itself."""
        if self.deprecated and self.sunset and self.sunset < self.deprecated:
            yield Problem(
                "sunset",
                self.sunset.isoformat(),
                f"it is before deprecated, which is {self.deprecated.isoformat()}",
                "give a later day, or deprecate earlier",
            )
        if self.successor == self.prefix:
            yield Problem(
                "successor",
                self.successor,
                "it is this API version itself",
                "give the one that clients should use instead",
            )


def _parent(prefix: str) -> str | None:
    match = _VERSIONED.fullmatch(prefix)
    return match[1] if match else None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@dataclass(frozen=True)
class Claim:
    """An API version, the model that has it, and where its settings stand."""

    path: str
    owner: str
    route: Route


def overlaps(claims: Iterable[Claim]) -> Iterator[Problem]:
    """Report two API versions with the same path, or one below the other."""
    for earlier, later in _touching(list(claims)):
        first, second = earlier.route.prefix, later.route.prefix
        others = earlier.owner != later.owner
        of = f" of the model {earlier.owner}" if others else ""
        fix = "give paths that do not lie below each other"
        if first == second:
            reason = (
                f"the model {earlier.owner} already has it"
                if others
                else "it is listed twice"
            )
            fix = f"give another, such as /{later.owner or 'employment'}/v1"
        elif second.startswith(f"{first}/"):
            reason = f"it is below {first}{of}"
        else:
            reason = f"{first}{of} is below it"
        yield Problem(f"{later.path}.prefix", second, reason, fix)


def _touching(claims: Sequence[Claim]) -> Iterator[tuple[Claim, Claim]]:
    """Pairs on one path or one below the other: by the earlier one, then the later.

    Each path looks for itself and for the paths above it, so that the time grows with
    the number of claims and not with its square.
    """
    at: dict[str, list[int]] = {}
    for index, claim in enumerate(claims):
        at.setdefault(claim.route.prefix, []).append(index)
    pairs = {
        (min(index, other), max(index, other))
        for index, claim in enumerate(claims)
        for above in _itself_and_above(claim.route.prefix)
        for other in at.get(above, ())
        if other != index
    }
    for first, second in sorted(pairs):
        yield claims[first], claims[second]


def _itself_and_above(prefix: str) -> Iterator[str]:
    """/a/b/c, /a/b, /a."""
    while prefix:
        yield prefix
        prefix = prefix.rpartition("/")[0]


def lost_successors(claims: Iterable[Claim]) -> Iterator[Problem]:
    """Report successors whose path the stack does not serve."""
    found = list(claims)
    known = {claim.route.prefix for claim in found}
    for claim in found:
        wanted = claim.route.successor
        if wanted and wanted.startswith("/") and wanted not in known:
            yield Problem(
                f"{claim.path}.successor",
                wanted,
                "no model of this stack has it: clients would be sent to a 404",
                "add it to routes, or give its whole address (https://...)",
            )


def past(routes: Iterable[Route], today: date) -> Iterator[str]:
    """API versions that are still there after their sunset.

    A warning, no refusal: the day after, a stack must still be able to roll back.
    """
    for route in routes:
        if route.sunset and route.sunset < today:
            yield (
                f"{route.prefix} was announced to end on {route.sunset.isoformat()}; "
                "remove it, or give a later sunset"
            )


def most_versions(revisions: int, paths: int) -> int:
    """API versions that one HTTPRoute holds, with so many revisions and paths.

    Versions that end need rules of their own, and any may be given an end.
    """
    if not revisions:
        return (MOST_RULES - 2) // paths
    # Each revision by header and all by weight; answers for what is not known.
    by_rules = (MOST_RULES - 3) // (revisions + 1)
    by_matches = (MOST_MATCHES - 1) // (paths * (revisions + 2) + 2)
    return min(by_rules, by_matches, MOST_RULE_MATCHES // paths)


def siblings(routes: Iterable[Route], known: Iterable[str]) -> list[str]:
    """All API versions beside those of `routes`: the ones that a 404 names."""
    own = list(routes)
    parents = {parent for route in own if (parent := route.parent)}
    below = tuple(f"{parent}/" for parent in parents)
    beside = {
        prefix
        for prefix in known
        if prefix.startswith(below) and _parent(prefix) in parents
    }
    return sorted(beside | {route.prefix for route in own})
