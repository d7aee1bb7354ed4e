"""The findings of both sides, and a change's effect on the rules themselves.

Base's rules apply to both sides: a pull request cannot weaken them for itself. Nor can
it take a stack out of production for itself: head is judged as production where either
side is. If head has other rules, they are also applied to head, and both results are
shown. Rules are data, so the code that compares reads them from each side.

A stack that cannot be judged on one side has no results at all: findings of the other
side would look as if the change had made them, or ended them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from components import lookups
from components.security import rules
from components.security.rules import Rule, RuleList
from components.settings import Settings
from slipway import stack_settings
from slipway.policy import check, objects, places
from slipway.policy.evaluation import Evaluator
from slipway.policy.known import Known, Manifests
from slipway.preview.items import code
from slipway.preview.report import RuleChange, RuleResult, Unjudged, Whose
from slipway.preview.sides import Side
from slipway.rendering import placeholders
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered, images_in_place
from stacks import layers
from toolchain import paths
from toolchain.errors import OperatorError

Graph = Mapping[str, tuple[Resource, ...]]
SIDES: tuple[Whose, Whose] = ("base", "head")
SETTINGS_UNKNOWN = "its settings are not known to the code that compares"
SHOWN_CHARACTERS = 300
"""Maximum length of the reason why rules cannot be read."""
RULES_UNREAD = "base's rules cannot be read"
_Key = tuple[str, str, str]
"""Stack, rule, object."""
_Open = dict[_Key, RuleResult]


def today() -> date:
    """The day by which waivers hold or have ended."""
    return datetime.now(tz=UTC).date()


@dataclass
class Judgement:
    """The findings."""

    results: list[RuleResult] = field(default_factory=list)
    changes: list[RuleChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    """Stacks in production by base's settings, and not by head's."""
    unjudged: list[Unjudged] = field(default_factory=list)


def judge(
    stacks: Sequence[str],
    sides: tuple[Side, Side],
    graphs: tuple[Graph, Graph],
    locks: tuple[Path | None, Path | None],
) -> Judgement:
    """Both sides by base's rules; nothing if base has none."""
    found = Judgement()
    base, head = sides
    shared = _Shared()
    judged = [
        _Judge(side, graph, lock, shared)
        for side, graph, lock in zip(sides, graphs, locks, strict=True)
    ]
    strict = {s for s in stacks if judged[0].in_production(s)}
    found.leaving = [s for s in stacks if judged[1].left(s, strict)]
    if not _has_rules(base):
        return found
    found.unjudged = [one for s in stacks for one in _unknown(s, judged)]
    before = _rules(base, found)
    if before is None:
        known = {one.stack for one in found.unjudged}
        found.unjudged += [
            Unjudged(s, "base", RULES_UNREAD, production=_important(s, judged))
            for s in stacks
            if s not in known
        ]
        return found
    after = before if _same_rules(base, head) else _rules(head, found)
    stacks = sorted({*stacks} - {one.stack for one in found.unjudged})
    old, new = (
        {k: v for s in stacks for k, v in j.open(before, s, strict)} for j in judged
    )
    own = new
    if after is None:
        why = "head has no rules"
        if _has_rules(head):
            why = "head's rules cannot be read"
        found.changes.append(RuleChange("all", "removed", why))
        own = {}
    elif after.rules != before.rules:
        own = {k: v for s in stacks for k, v in judged[1].open(after, s, strict)}
    if after is not None:
        found.changes.extend(_changes(before.rules, after.rules))
    found.results = sorted(
        _states(old, new, own), key=lambda r: (r.stack, r.rule, r.object)
    )
    return found


def _unknown(stack: str, judged: Sequence[_Judge]) -> Iterator[Unjudged]:
    """Sides whose settings the code that compares does not know."""
    for side, one in zip(SIDES, judged, strict=True):
        if one.is_unknown(stack):
            important = _important(stack, judged)
            yield Unjudged(stack, side, SETTINGS_UNKNOWN, production=important)


def _important(stack: str, judged: Sequence[_Judge]) -> bool:
    """Return whether production may depend on it: on either side, or nobody knows."""
    known = any(one.is_known(stack) for one in judged)
    return not known or any(one.in_production(stack) for one in judged)


def _has_rules(side: Side) -> bool:
    return (side.folder / rules.FOLDER).is_dir()


def _rules(side: Side, found: Judgement) -> Evaluator | None:
    """Return the rules; None with a note if they cannot be read, or there are none."""
    if not _has_rules(side):
        return None
    try:
        return Evaluator(rules.load(side.folder / rules.FOLDER))
    except OperatorError as error:
        why = " ".join(str(error).split())[:SHOWN_CHARACTERS]
        found.notes.append(
            f"The rules of {code(side.name)} are not read by the code that compares: "
            f"{code(why)}"
        )
        return None


def _same_rules(*sides: Side) -> bool:
    """Return whether the rules are the same, in the same files."""
    folders = [side.folder / rules.FOLDER for side in sides]
    try:
        texts = [{f.name: f.read_bytes() for f in d.glob("*.yaml")} for d in folders]
    except OSError:  # a link to nowhere, for example: reading them says which
        return False
    return texts[0] == texts[1]


class _Shared:
    """Objects and findings that both sides share, for unchanged resources."""

    def __init__(self) -> None:
        self.manifests = Manifests()
        self.images = functools.cache(placeholders.images)
        self._known: dict[tuple[int, str], Known] = {}

    def known(self, evaluator: Evaluator, stack: str) -> Known:
        """Return these rules' findings in the stack, on either side."""
        key = id(evaluator), stack
        return self._known.setdefault(key, Known(evaluator.rules))


class _Judge:
    """One side, judged by any rules."""

    def __init__(
        self, side: Side, graph: Graph, lock: Path | None, shared: _Shared
    ) -> None:
        self._shared = shared
        self._side, self._graph = side, graph
        self._images: dict[str, str] = _references(side, lock, shared)
        self._settings: dict[str, Settings | None] = {}
        self._objects: dict[str, list[objects.Judged]] = {}

    def is_known(self, stack: str) -> bool:
        """Return whether this side has the stack, with settings that are known."""
        return self._settings_of(stack) is not None

    def is_unknown(self, stack: str) -> bool:
        """Return whether this side has the stack, with settings that are not known."""
        return stack in self._graph and not self.is_known(stack)

    def in_production(self, stack: str) -> bool:
        """Return whether this side's settings say so; False if they are not known."""
        settings = self._settings_of(stack)
        return settings is not None and check.in_production(settings)

    def left(self, stack: str, strict: Collection[str]) -> bool:
        """Return whether a stack of `strict` is here, and not in production."""
        settings = self._settings_of(stack) if stack in strict else None
        return settings is not None and not check.in_production(settings)

    def open(
        self, evaluator: Evaluator, stack: str, strict: Collection[str]
    ) -> Iterator[tuple[_Key, RuleResult]]:
        """Return the findings in the stack that have no waiver.

        `strict`: stacks that are judged as production whatever this side says.
        """
        settings = self._settings_of(stack)
        if settings is None:
            return
        production = stack in strict or check.in_production(settings)
        content = check.stack_object(stack, settings, production=production)
        lines = places.Lines(stack, self._side.folder)
        for rule, one, wrong, waived in check.findings(
            evaluator,
            [objects.of_stack(content), *self._objects_of(stack)],
            environment=layers.split(stack)[1],
            production=production,
            settings=content["settings"],
            today=today(),
            known=self._shared.known(evaluator, stack),
        ):
            if not waived:
                result = RuleResult(
                    stack=stack,
                    rule=rule.id,
                    object=one.name,
                    state="there",
                    level=rule.severity if production else "warning",
                    message=rule.message,
                    wrong=tuple(wrong),
                    fix=rule.fix,
                    file=lines.file,
                    line=lines.of(one),
                )
                yield (stack, rule.id, one.name), result

    def _settings_of(self, stack: str) -> Settings | None:
        """None: this side has no such stack, or its settings are not known."""
        if stack not in self._settings:
            there = stack in self._graph
            self._settings[stack] = self._loaded(stack) if there else None
        return self._settings[stack]

    def _loaded(self, stack: str) -> Settings | None:
        model = layers.of(stack).settings
        try:
            # Settings may name what lies elsewhere: a side's are not followed there.
            with images_in_place(self._images), lookups.none():
                return stack_settings.load(stack, model, self._side.folder)
        except OperatorError:
            return None

    def _objects_of(self, stack: str) -> list[objects.Judged]:
        if stack not in self._objects:
            rendered = Rendered(stack, self._graph[stack], {})
            found = objects.of_rendered(rendered, self._shared.manifests.of)
            self._objects[stack] = list(found)
        return self._objects[stack]


def _references(side: Side, lock: Path | None, shared: _Shared) -> dict[str, str]:
    """Images by name: of the lock file, else placeholders.

    Defaults are those of the code that compares, so its names are among them.
    """
    if lock is not None:
        found: dict[str, str] = json.loads(lock.read_text())
        return found
    return shared.images(paths.ROOT) | shared.images(side.folder)


def _states(old: _Open, new: _Open, own: _Open) -> Iterator[RuleResult]:
    """`old` and `new` by base's rules; `own`: head by its own."""
    for key, one in new.items():
        by: tuple[Whose, ...] = ("base", "head") if key in own else ("base",)
        yield replace(_since(old.get(key), one), by=by)
    for key, one in own.items():
        if key not in new:
            yield replace(one, state="new", by=("head",))
    for key, one in old.items():
        if key not in new:
            yield replace(one, state="gone", by=("base",))


def _since(old: RuleResult | None, one: RuleResult) -> RuleResult:
    """Mark what is new: all of it, or the violations that were not there before."""
    if old is None:
        return replace(one, state="new")
    more = tuple(it for it in one.wrong if it not in old.wrong)
    rises = (old.level, one.level) == ("warning", "error")
    if not more and not rises:
        return replace(one, state="there")
    return replace(one, state="new", wrong=one.wrong if rises else more)


def _changes(before: RuleList, after: RuleList) -> Iterator[RuleChange]:
    """Rules that come, go or differ, and what they depend on."""
    for name in sorted(before.rules.keys() | after.rules.keys()):
        old, new = before.rules.get(name), after.rules.get(name)
        if old is None:
            yield RuleChange(name, "added", "")
        elif new is None:
            yield RuleChange(name, "removed", old.message)
        elif fields := _differ(old, new):
            yield RuleChange(name, "changed", ", ".join(fields))
    yield from _around(before, after)


def _around(before: RuleList, after: RuleList) -> Iterator[RuleChange]:
    """Other variables and parameters, and waivers that are new."""
    for kind in ("variables", "parameters"):
        mine, theirs = getattr(before, kind), getattr(after, kind)
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                yield RuleChange(f"{kind}.{name}", "changed", "")
    for waiver in after.waivers:
        if waiver not in before.waivers:
            for rule in waiver.rules:
                text = f"{', '.join(waiver.objects)} until {waiver.until}: {waiver.why}"
                yield RuleChange(rule, "waived", text)


def _differ(old: Rule, new: Rule) -> list[str]:
    """Fields with an effect; not the descriptions."""
    words = ("message", "why", "fix", "since")
    mine, theirs = old.model_dump(), new.model_dump()
    return [name for name in mine if name not in words and mine[name] != theirs[name]]
