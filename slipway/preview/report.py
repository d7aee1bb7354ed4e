"""The effect of a change on stacks, as data: docs/reference/compare.schema.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

SCHEMA = 1
Action = Literal["created", "deleted", "replaced", "unknown", "moved", "changed"]
Rendered = Literal["nothing", Action]
Level = Literal["nothing", "calm", "attention", "danger"]
Whose = Literal["base", "head"]


@dataclass(frozen=True)
class PathChange:
    """One place where a resource's inputs differ, both values in a few words."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Item:
    """The change of one resource."""

    stack: str
    type: str
    """Pulumi's type, such as kubernetes:apps/v1:Deployment."""
    name: str
    """`namespace/name` in a cluster, else the resource's name in its stack."""
    action: Action
    """`unknown`: it may be replaced. `moved`: the same object has another URN."""
    reason: str = ""
    changes: tuple[PathChange, ...] = ()
    secret: bool = False
    """Whether it has secret values; its changes are then not listed."""
    labels_only: bool = False
    holds_data: bool = False
    protection: Literal["", "removed", "added", "kept"] = ""
    """Whether the engine refuses to delete it; empty: it is not protected."""
    retained: bool = False
    """Whether it is kept when its resource is deleted."""


@dataclass(frozen=True)
class Restart:
    """A workload whose pods are made anew, because its template differs."""

    stack: str
    kind: str
    name: str
    replicas_min: int | None
    """Before the change; none: as many as there are nodes for it."""
    replicas_max: int | None
    strategy: str
    """Strategy of the update; `Recreate` and `Replaced` stop all pods before new ones
    start."""
    surge: str
    """Pods beyond the wanted number while it updates: a number or a percentage."""
    unavailable: str
    """Pods below it."""
    drain_seconds: int
    """Longest time that a pod may take to end (terminationGracePeriodSeconds)."""
    changes: tuple[PathChange, ...]


@dataclass(frozen=True)
class Share:
    """Requests of one rule of a route that one backend gets, in percent."""

    stack: str
    route: str
    rule: str
    """Match of the rule."""
    backend: str
    before: float | None
    """None: the rule has no such backend."""
    after: float | None


@dataclass(frozen=True)
class Eviction:
    """A training job that a rollout may evict after the change."""

    stack: str
    rollout: str
    """`namespace/name` of the rollout's ConfigMap."""
    job: str
    """With its stack, as in jobs.prod/tuning."""
    gpus: int
    """All that the job has."""
    lost_seconds: int
    """Work since its last checkpoint, at most."""
    stop_seconds: int
    """Time that it gets to end."""


@dataclass(frozen=True)
class Drift:
    """A pool whose nodes are replaced, as they differ from it after the change."""

    stack: str
    pool: str
    kind: Literal["NodePool", "NodeGroup"]
    """Karpenter's, or EKS's managed one."""
    nodes_min: int
    """Nodes before the change, at least: bounds of the pool, as no cluster is asked."""
    nodes_max: int | None
    """At most; none: it has no limit that is known."""
    at_once: str
    """Nodes at a time by the disruption budget or the update: a number, a percentage or
    `all`."""
    drain_seconds: int | None
    """Time that one node may take to lose its pods; none: no limit."""
    longest_seconds: int | None
    """All drains together, at most, without the start of new nodes."""
    changes: tuple[PathChange, ...]


@dataclass(frozen=True)
class Money:
    """US dollars a month of 730 hours on demand; None: not known."""

    usd_per_month: float | None
    at_least: bool
    """Whether any part of it has no known price."""


@dataclass(frozen=True)
class Bill:
    """A cluster's cost and maximum size, before and after."""

    stack: str
    floor_before: Money | None
    """None: there is no such stack, or this code cannot read its settings."""
    floor_after: Money | None
    ceiling_before: Money | None
    ceiling_after: Money | None
    gpus_floor_before: int | None
    """GPUs, or Neuron devices, that are always there."""
    gpus_floor_after: int | None
    gpus_ceiling_before: int | None
    """GPUs that the limits of all pools admit together."""
    gpus_ceiling_after: int | None
    prices: tuple[str, ...]
    """Sources of the prices with their dates."""
    note: str = ""


@dataclass(frozen=True)
class Secret:
    """An encrypted value of a stack file that differs; nothing is decrypted."""

    stack: str
    setting: str


@dataclass(frozen=True)
class RuleResult:
    """A rule that an object violates, before or after; none with a waiver."""

    stack: str
    rule: str
    """The rule's id."""
    object: str
    state: Literal["new", "there", "gone"]
    level: Literal["error", "warning"]
    """`error`: production depends on the stack, and the rule is one of errors."""
    message: str
    wrong: tuple[str, ...]
    fix: str
    file: str
    """The stack's file, of head; of base where it is gone."""
    line: int
    by: tuple[Whose, ...] = ("base",)
    """Rules with the finding. Without head: head's own rules accept it."""


@dataclass(frozen=True)
class RuleChange:
    """A change of the rules themselves."""

    rule: str
    """The rule's id, or `variables.<name>` or `parameters.<environment>`."""
    change: Literal["added", "removed", "changed", "waived"]
    text: str
    """Differences: the fields of a rule, or the objects of a waiver."""


@dataclass(frozen=True)
class Unjudged:
    """A stack that the rules could not judge, so that no result is known of it."""

    stack: str
    side: Whose
    """Where it, or the rules, cannot be read."""
    reason: str
    production: bool
    """Whether production depends on it on either side, or nobody knows."""


@dataclass(frozen=True)
class Disagreement:
    """A resource of which the engine says something else than the two renderings."""

    stack: str
    type: str
    name: str
    rendered: Rendered
    engine: Rendered
    paths: tuple[str, ...]
    """Properties that differ, as the engine has them; no values."""


@dataclass(frozen=True)
class Previewed:
    """The engine's preview of head for one stack, beside the renderings."""

    stack: str
    agreed: int
    """Resources that change, and in the same way."""
    decided: int
    """Those that might be replaced: the engine says whether they are."""
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True)
class StackReport:
    """The changes of the resources of one stack."""

    stack: str
    presence: Literal["both", "base", "head"]
    """Sides that have a file of the stack."""
    items: tuple[Item, ...]
    options_only: int = 0
    """Resources that differ only in options of the engine, such as time-outs."""


@dataclass(frozen=True)
class Report:
    """The whole report."""

    base: str
    head: str
    judge: str
    """Side whose code compared: base, head or other."""
    images: str
    """`placeholders` or `locked`."""
    level: Level
    verdict: str
    stacks: tuple[StackReport, ...]
    restarts: tuple[Restart, ...]
    traffic: tuple[Share, ...]
    bills: tuple[Bill, ...]
    secrets: tuple[Secret, ...]
    notes: tuple[str, ...] = ()
    """Markdown, in which what comes from a side stands in code spans."""
    rules: tuple[RuleResult, ...] = ()
    rule_changes: tuple[RuleChange, ...] = ()
    previews: tuple[Previewed, ...] = ()
    """Stacks that the engine previewed; empty without --preview."""
    evictions: tuple[Eviction, ...] = ()
    """Those that were not possible before, or not in this way."""
    drifts: tuple[Drift, ...] = ()
    leaves_production: tuple[str, ...] = ()
    """Stacks in production by base's settings, and not by head's."""
    unjudged: tuple[Unjudged, ...] = ()
    """Stacks without results of rules; those of the other side are left out too."""

    @property
    def items(self) -> tuple[Item, ...]:
        """Return the changes of the resources of all stacks."""
        return tuple(item for stack in self.stacks for item in stack.items)

    def rules_of(self, state: str, level: str = "") -> tuple[RuleResult, ...]:
        """Results of this state, and of this level if it is given."""
        found = (one for one in self.rules if one.state == state)
        return tuple(one for one in found if level in ("", one.level))

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """Return the disagreements of all stacks that the engine previewed."""
        return tuple(d for one in self.previews for d in one.disagreements)

    @property
    def left_behind(self) -> tuple[StackReport, ...]:
        """Stacks without a file in head: nothing deletes their resources."""
        return tuple(stack for stack in self.stacks if stack.presence == "base")

    def of(self, action: Action) -> tuple[Item, ...]:
        """Items of this action, of stacks that head has."""
        here = (stack for stack in self.stacks if stack not in self.left_behind)
        return tuple(i for stack in here for i in stack.items if i.action == action)

    @property
    def changed(self) -> bool:
        """Return whether the sides differ in anything that the report shows."""
        return self.level != "nothing"

    def as_json(self) -> dict[str, Any]:
        """Return JSON by docs/reference/compare.schema.json."""
        return {"schema_version": SCHEMA, "changed": self.changed} | asdict(self)
