"""Evaluates the rules for resources that the engine sends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from components.security.rules import Rule
from slipway.policy import check, objects
from slipway.policy.evaluation import Evaluator
from slipway.policy.objects import PARTS, RELATED, Judged
from slipway.policy_pack.resources import Seen
from slipway.policy_pack.stack_context import StackContext
from slipway.policy_pack.unknowns import Path, reads, text_of

LINKS = {*PARTS, "namespace", "labels", "matchLabels", "podSelector", "targetRefs"}
"""Keys by which objects belong together."""
_SETTINGS = re.compile(r"(?<![.\w])settings\.")
NOT_KNOWN = "it depends on values that are not known yet"
NO_SETTINGS = "the stack is none of Slipway's layers and has no settings"


@dataclass(frozen=True)
class Outcome:
    """One rule's result for one object."""

    rule: Rule
    urn: str = ""
    """Empty for the stack itself."""
    name: str = ""
    wrong: tuple[str, ...] = ()
    skipped: str = ""
    """Why the rule was not evaluated."""


class Judge:
    """The rules as they hold for one stack on one day."""

    def __init__(self, evaluator: Evaluator, where: StackContext, today: date) -> None:
        self._evaluator, self._where = evaluator, where
        rules = evaluator.rules
        self._parameters = rules.parameters_of(where.environment)
        self._waivers = rules.waivers_of(where.environment, today)
        self._texts = {r.id: text_of(rules, r) for r in rules.rules.values()}
        found = rules.rules.values()
        self.of_resources = [rule for rule in found if rule.by_itself]
        self.of_stack = [rule for rule in found if not rule.by_itself]
        self._kinds = {kind for rule in found for kind in rule.object_kinds}

    def sees(self, kind: str) -> bool:
        """Whether any rule is about the kind, or sees it beside its own object."""
        return kind in self._kinds or kind.rpartition(":")[2] in RELATED

    def resource(self, one: Seen) -> Iterator[Outcome]:
        """Evaluate the rules that need only the resource."""
        yield from self._outcomes([one], self.of_resources)

    def stack(self, every: Sequence[Seen]) -> Iterator[Outcome]:
        """Evaluate the rules that need other resources or settings beside it."""
        yield from self._outcomes(every, self.of_stack)
        if self._where.stack is not None:
            one = objects.of_stack(dict(self._where.stack))
            for rule in self.of_stack:
                if one.kind in rule.object_kinds:
                    yield from self._evaluated(rule, one, "")

    def _outcomes(
        self, every: Sequence[Seen], rules: Sequence[Rule]
    ) -> Iterator[Outcome]:
        by_name = {one.name: one for one in every}
        unknown: dict[str, set[Path]] = {}
        for one in every:
            unknown.setdefault(one.short, set()).update(one.unknown)
        for judged in objects.of_resources(one.resource for one in every):
            seen = by_name[judged.name]
            for rule in rules:
                if judged.kind in rule.object_kinds:
                    reason = self._skipped(rule, seen, unknown)
                    if reason:
                        yield Outcome(rule, seen.resource.urn, seen.name, (), reason)
                    else:
                        yield from self._evaluated(rule, judged, seen.resource.urn)

    def _evaluated(self, rule: Rule, one: Judged, urn: str) -> Iterator[Outcome]:
        if one.name not in self._waivers.get(rule.id, ()):
            settings = self._where.settings or {}
            wrong = check.wrong(self._evaluator, rule, one, self._parameters, settings)
            if wrong:
                yield Outcome(rule, urn, one.name, tuple(wrong))

    def _skipped(self, rule: Rule, one: Seen, unknown: Mapping[str, set[Path]]) -> str:
        """Why the rule cannot be evaluated; empty where it can."""
        text = self._texts[rule.id]
        if _SETTINGS.search(rule.expression) and self._where.settings is None:
            return NO_SETTINGS
        if any(reads(text, path) for path in one.unknown):
            return NOT_KNOWN
        if rule.by_itself:
            return ""
        near = [kind for kind in RELATED if f"related.{kind}" in rule.expression]
        paths = [path for kind in near for path in unknown.get(kind, ())]
        links = any(LINKS & set(path) for path in (*one.unknown, *paths))
        return NOT_KNOWN if links or any(reads(text, path) for path in paths) else ""
