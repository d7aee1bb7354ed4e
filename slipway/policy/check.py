"""A stack judged by all rules: findings, each with its object, reason and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from components import lookups
from components.cluster.settings import ClusterSettings
from components.security.rules import Rule, RuleList
from components.settings import Settings
from slipway import stack_files, stack_settings
from slipway.code_hosts import Level
from slipway.cost.estimate import estimate
from slipway.cost.gpus import gpus
from slipway.policy import objects, places
from slipway.policy.evaluation import Evaluator, Seen
from slipway.policy.known import Known
from slipway.policy.objects import Judged
from slipway.rendering.render import images_in_place, render
from stacks import layers


@dataclass(frozen=True)
class Finding:
    """A rule that an object violates."""

    stack: str
    rule: Rule
    object: str
    wrong: tuple[str, ...]
    """The violations that the rule's expression returned."""
    level: Level
    """`error` in production, if the rule is one of errors."""
    file: str
    line: int
    waived: bool = False

    @property
    def text(self) -> str:
        """Return the violations in one line."""
        return f"{self.rule.message}: {', '.join(self.wrong)}"


@dataclass(frozen=True)
class Verdict:
    """The findings in a stack."""

    stack: str
    production: bool
    objects: int
    rules: int
    """Rules that at least one object was judged by."""
    findings: tuple[Finding, ...]

    @property
    def open(self) -> tuple[Finding, ...]:
        """Findings without a waiver."""
        return tuple(f for f in self.findings if not f.waived)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those of them that production refuses."""
        return tuple(f for f in self.open if f.level == "error")


def check(
    stack: str,
    evaluator: Evaluator,
    images: Mapping[str, str],
    *,
    today: date,
    production: bool | None = None,
) -> Verdict:
    """Renders the stack and judges all that it consists of.

    `images`: references by name. `production`: judge as if it were so, else as the
    stack's settings say. Raises what rendering raises, SettingsError among them.
    """
    # As in a rendering: a Terraform state that they name is not read.
    with images_in_place(dict(images)), lookups.none():
        settings = stack_settings.load(stack, layers.of(stack).settings)
    rendered = render(stack, images=dict(images))
    if production is None:
        production = in_production(settings)
    content = stack_object(stack, settings, production=production)
    judged = [objects.of_stack(content), *objects.of_rendered(rendered)]
    _, environment = layers.split(stack)
    found = findings(
        evaluator,
        judged,
        environment=environment,
        production=production,
        settings=content["settings"],
        today=today,
    )
    lines = places.Lines(stack)
    kinds = {one.kind for one in judged}
    applied = applicable(evaluator.rules, production=production)
    return Verdict(
        stack=stack,
        production=production,
        objects=len(judged),
        rules=sum(bool(kinds & rule.object_kinds) for rule in applied),
        findings=tuple(
            Finding(
                stack=stack,
                rule=rule,
                object=one.name,
                wrong=tuple(texts),
                level=rule.severity if production else "warning",
                file=lines.file,
                line=lines.of(one),
                waived=waived,
            )
            for rule, one, texts, waived in found
        ),
    )


def applicable(rules: RuleList, *, production: bool) -> list[Rule]:
    """The rules that must be kept there."""
    return [r for r in rules.rules.values() if production or not r.production_only]


def findings(
    evaluator: Evaluator,
    judged: Iterable[Judged],
    *,
    environment: str,
    production: bool,
    settings: Mapping[str, Any],
    today: date,
    known: Known | None = None,
) -> Iterator[tuple[Rule, Judged, list[str], bool]]:
    """Rule, object, what is wrong, and whether a waiver holds, where any is wrong.

    `known`: what these rules have found in this environment; more is added.
    """
    rules = evaluator.rules
    parameters = rules.parameters_of(environment)
    waivers = rules.waivers_of(environment, today)
    by_kind: dict[str, list[Rule]] = {}
    for rule in applicable(rules, production=production):
        for kind in rule.object_kinds:
            by_kind.setdefault(kind, []).append(rule)
    for one in judged:
        seen = Seen()
        for rule in by_kind.get(one.kind, ()):
            found = known.get(rule, one) if known else None
            if found is None:
                about = evaluator, rule, one, parameters, settings
                found = wrong(*about, seen=seen)
                if known:
                    known.add(rule, one, found)
            if found:
                yield rule, one, found, one.name in waivers.get(rule.id, ())


def wrong(
    evaluator: Evaluator,
    rule: Rule,
    one: Judged,
    parameters: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    seen: Seen | None = None,
) -> list[str]:
    """Return the object's violations of the rule; empty if it conforms.

    `seen`: as `Evaluator.wrong` takes it.
    """
    more: dict[str, Any] = {}
    if not rule.in_cluster:
        more = {"related": one.related, "settings": settings}
    return evaluator.wrong(rule, one.content, parameters, seen, **more)


def in_production(settings: Settings) -> bool:
    """Return whether the stack's settings declare it production."""
    account = getattr(settings, "account", None)
    return bool(getattr(account or settings, "production", False))


def stack_object(stack: str, settings: Settings, *, production: bool) -> dict[str, Any]:
    """The stack itself as rules see it."""
    layer, environment = layers.split(stack)
    found: dict[str, Any] = {
        "kind": "Stack",
        "name": stack,
        "layer": layer,
        "environment": environment,
        "production": production,
        "settings": settings.model_dump(mode="json"),
    }
    if isinstance(settings, ClusterSettings):
        most = [gpus(pool)[1] for pool in settings.pools.values()]
        ceiling = estimate(stack, settings).ceiling.usd_per_month
        found |= {
            "gpus_ceiling": sum(most),
            "dollars_per_month_ceiling": round(ceiling),
        }
    return found


def stacks() -> list[str]:
    """All stacks that have a file."""
    return sorted(stack_files.known())
