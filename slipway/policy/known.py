"""Caches findings about objects, so that none is evaluated twice."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from components.security.rules import Rule, RuleList
from slipway.policy.objects import Judged
from slipway.rendering import manifests
from slipway.rendering.recorder import Resource

_Key = tuple[str, int, tuple[int, ...]]
"""A rule, an object and what belongs to it, each by identity."""


class Known:
    """What one list of rules finds in one environment.

    An object that is the same Python object, as well as all that the rule looks at
    beside it, is not judged again. Rules that look at settings always judge.
    """

    def __init__(self, rules: RuleList) -> None:
        self._rules = rules
        self._found: dict[_Key, list[str]] = {}
        self._held: list[Judged] = []  # else another object might get its identity

    def get(self, rule: Rule, one: Judged) -> list[str] | None:
        """Return the violations of this rule; None if it has to be evaluated."""
        key = self._key(rule, one)
        return self._found.get(key) if key else None

    def add(self, rule: Rule, one: Judged, found: list[str]) -> None:
        """Notes what is wrong."""
        if key := self._key(rule, one):
            self._found[key] = found
            self._held.append(one)

    def _key(self, rule: Rule, one: Judged) -> _Key | None:
        beside = self._beside[rule.id]
        if "settings" in beside:
            return None
        found = one.related.values() if "related" in beside else ()
        return rule.id, id(one.content), tuple(id(x) for some in found for x in some)

    @cached_property
    def _beside(self) -> dict[str, frozenset[str]]:
        rules = self._rules.rules.values()
        return {rule.id: self._rules.beside(rule.expression) for rule in rules}


class Manifests:
    """The manifest of each resource, made once for all sides that have it."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Resource, dict[str, Any]]] = {}

    def of(self, resource: Resource) -> dict[str, Any]:
        """The resource's manifest."""
        known = self._made.get(id(resource))
        if known is None:
            made = manifests.manifest(resource)
            known = self._made[id(resource)] = resource, made
        return known[1]
