"""The report: both sides rendered and compared, and what a reviewer must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from slipway import stack_files
from slipway.preview import (
    bill,
    changes,
    evictions,
    judgement,
    node_drift,
    pods,
    rendering,
    secret_values,
    traffic,
    verdict,
)
from slipway.preview.items import code
from slipway.preview.report import Drift, Report, Restart, StackReport
from slipway.preview.sides import Side, check, judge
from slipway.rendering.recorder import Resource
from stacks import layers
from toolchain.errors import WrongInputError

_PACKAGES = ("requirements.txt", "pyproject.toml")


def known(base: Side, head: Side) -> list[str]:
    """Stacks that either side has a file of, in the order of their layers."""
    found = {*stack_files.known(base.folder), *stack_files.known(head.folder)}
    return sorted(found, key=lambda s: (layers.LAYERS.index(layers.split(s)[0]), s))


def chosen(
    base: Side, head: Side, stacks: Sequence[str], environments: Sequence[str]
) -> list[str]:
    """The stacks to compare: those named, those of the environments, or all.

    WrongInputError for what neither side has.
    """
    there = known(base, head)
    wrong = [stack for stack in stacks if stack not in there]
    of = {
        name: [s for s in there if s.split(".", 1)[1] == name] for name in environments
    }
    wrong += [name for name, found in of.items() if not found]
    if wrong:
        raise WrongInputError(
            f"{', '.join(wrong)}: neither side has such a stack or environment; "
            f"known stacks: {', '.join(there) or 'none'}"
        )
    wanted = {*stacks, *(s for found in of.values() for s in found)}
    return [stack for stack in there if not wanted or stack in wanted]


def compare(
    base: Side,
    head: Side,
    stacks: Sequence[str],
    locks: tuple[Path | None, Path | None],
    work: Path,
) -> Report:
    """Renders the stacks of both sides and compares them; RenderError if one fails."""
    sides = [(side, [s for s in stacks if _has(side, s)]) for side in (base, head)]
    rendered = rendering.render(sides, locks, work)
    before, after = rendered.graphs
    for side in (base, head):  # again, as their code has run
        check(side)
    report = of_graphs(base, head, stacks, (before, after), locks)
    if why := rendered.networked:
        note = (
            "The code that was rendered, head's among it, had this machine's network: "
            f"{code(why)}."
        )
        report = replace(report, notes=(*report.notes, note))
    return report


def of_graphs(
    base: Side,
    head: Side,
    stacks: Sequence[str],
    graphs: tuple[rendering.Graph, rendering.Graph],
    locks: tuple[Path | None, Path | None] = (None, None),
) -> Report:
    """The report on two renderings that exist."""
    names, (before, after) = list(stacks), graphs
    reports = tuple(
        changes.stack_report(name, before.get(name), after.get(name)) for name in names
    )
    both = [
        (r, before[r.stack], after[r.stack]) for r in reports if r.presence == "both"
    ]
    judged = judgement.judge(names, (base, head), graphs, locks)
    report = Report(
        base=base.name,
        head=head.name,
        judge=judge(base, head),
        images="locked" if any(locks) else "placeholders",
        level="nothing",
        verdict="",
        stacks=tuple(r for r in reports if r.items or r.options_only),
        restarts=tuple(x for one in both for x in _restarts(*one)),
        traffic=tuple(x for r, a, b in both for x in traffic.moved(r.stack, a, b)),
        evictions=tuple(
            x
            for name in names
            if name in after
            for x in evictions.added(name, before.get(name, ()), after[name])
        ),
        drifts=tuple(x for one in both for x in _drifts(*one)),
        bills=tuple(bill.bills(names, base.folder, head.folder)),
        secrets=tuple(secret_values.changed(names, base.folder, head.folder)),
        notes=(*_notes(base, head, reports), *_unread(names, after), *judged.notes),
        rules=tuple(judged.results),
        rule_changes=tuple(judged.changes),
        leaves_production=tuple(judged.leaving),
        unjudged=tuple(judged.unjudged),
    )
    return verdict.with_verdict(report)


def _has(side: Side, stack: str) -> bool:
    return stack_files.path(stack, side.folder).is_file()


def _restarts(
    report: StackReport, before: Sequence[Resource], after: Sequence[Resource]
) -> Iterator[Restart]:
    replaced = [
        (item.type.rpartition(":")[2], item.name)
        for item in report.items
        if item.action == "replaced"
    ]
    return pods.restarts(report.stack, before, after, replaced)


def _drifts(
    report: StackReport, before: Sequence[Resource], after: Sequence[Resource]
) -> Iterator[Drift]:
    groups = (i for i in report.items if i.type == node_drift.NODE_GROUP)
    replaced = [item.name for item in groups if item.action == "replaced"]
    return node_drift.drifts(report.stack, before, after, replaced)


def _notes(base: Side, head: Side, reports: Sequence[StackReport]) -> Iterator[str]:
    """Notes against misunderstandings."""
    for report in reports:
        if report.presence == "base":
            yield (
                f"{code(report.stack)} has no file in head any more. `slipway up` "
                "deletes nothing of it: run `slipway destroy` with base's checkout."
            )
    if any(_content(base, name) != _content(head, name) for name in _PACKAGES):
        yield (
            "The sides name different Python packages. Both were rendered with those "
            "of the environment that compared."
        )
    if any(item.action == "unknown" for r in reports for item in r.items):
        yield (
            "Whether a provider replaces a resource is known of the types in "
            "slipway/preview/replacement.yaml only; `slipway preview` asks the engine."
        )


def _unread(stacks: Sequence[str], graph: rendering.Graph) -> Iterator[str]:
    for stack in stacks:
        for name in evictions.unread(graph.get(stack, ())):
            yield (
                f"Jobs that {code(name)} of {code(stack)} may evict are not known: "
                "the code that compares cannot read its annotation."
            )


def _content(side: Side, name: str) -> bytes:
    file = side.folder / name
    return file.read_bytes() if file.is_file() else b""
