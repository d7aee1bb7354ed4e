"""The one line that a reviewer must read, and how much attention the change needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import replace

from slipway.preview.items import code
from slipway.preview.report import Bill, Level, Money, Report

WORSE = ("replaced", "deleted")
"""The engine's planned changes that the renderings lack."""
SHOWN_STACKS = 3


def with_verdict(report: Report) -> Report:
    """The report with its level and its verdict."""
    parts = [*_danger(report)]
    level: Level = "danger" if parts else "nothing"
    attention = [*_attention(report)]
    calm = [*_calm(report)]
    if not parts:
        level = "attention" if attention else "calm" if calm else "nothing"
    text = ", ".join([*parts, *attention, *calm])
    verdict = text[:1].upper() + text[1:] + "." if text else "Nothing changes."
    return replace(report, level=level, verdict=verdict)


def _danger(report: Report) -> Iterator[str]:
    """Return what may lose data or interrupt service, or escapes the rules."""
    yield from _escapes(report)
    unprotected = [item for item in report.items if item.protection == "removed"]
    if unprotected:
        yield f"removes the protection of {_count(unprotected, 'resource')}"
    for found, verb in (
        (report.of("replaced"), "replaces"),
        (report.of("deleted"), "deletes"),
    ):
        held = [item for item in found if item.holds_data]
        data = f" ({len(held)} with data)" if held else ""
        if found:
            yield f"{verb} {_count(found, 'resource')}{data}"
    if worse := [d for d in report.disagreements if d.engine in WORSE]:
        yield f"by the engine, replaces or deletes {_count(worse, 'other resource')}"
    if broken := report.rules_of("new", "error"):
        yield f"breaks rules of production in {_count(broken, 'place')}"
    weaker = [one for one in report.rule_changes if one.change != "added"]
    if weaker:
        yield f"changes or waives {_count({one.rule for one in weaker}, 'rule')}"
    if found := report.of("unknown"):
        yield f"may replace {_count(found, 'resource')}"
    if found := report.of("moved"):
        yield f"moves {_count(found, 'object')} to another URN"


def _escapes(report: Report) -> Iterator[str]:
    if report.leaves_production:
        yield f"takes {_stacks(report.leaves_production)} out of production"
    if unjudged := _unjudged(report, production=True):
        yield f"could not judge {_stacks(unjudged)} by the rules"


def _attention(report: Report) -> Iterator[str]:
    if unjudged := _unjudged(report, production=False):
        yield f"could not judge {_stacks(unjudged)} by the rules"
    for stack in report.left_behind:
        left = _count(stack.items, "resource")
        yield f"gives up {code(stack.stack)}, whose {left} stay until it is destroyed"
    if other := [d for d in report.disagreements if d.engine not in WORSE]:
        yield f"by the engine, does something else with {_count(other, 'resource')}"
    yield from _made_anew(report)
    if report.traffic:
        routes = {(share.stack, share.route) for share in report.traffic}
        yield f"moves traffic of {_count(routes, 'route')}"
    if report.evictions:
        jobs = {one.job for one in report.evictions}
        yield f"lets a rollout evict {_count(jobs, 'training job')}"
    if broken := report.rules_of("new", "warning"):
        yield f"breaks rules in {_count(broken, 'place')}, as warnings"
    if report.secrets:
        yield f"changes {_count(report.secrets, 'encrypted value')}"
    for bill in report.bills:
        yield from _bill(bill)


def _made_anew(report: Report) -> Iterator[str]:
    """Return pods and nodes, with their numbers where they are known."""
    if report.restarts:
        bound = _bound((one.replicas_max for one in report.restarts), "pod")
        yield f"restarts the pods of {_count(report.restarts, 'workload')}{bound}"
    if report.drifts:
        bound = _bound((one.nodes_max for one in report.drifts), "node")
        yield f"replaces the nodes of {_count(report.drifts, 'pool')}{bound}"


def _bound(most: Iterable[int | None], noun: str) -> str:
    """Return the sum in words; nothing if one is not known, as it would be no bound."""
    given = list(most)
    known = [one for one in given if one is not None]
    if len(known) < len(given):
        return ""
    return f" (up to {_number(sum(known), noun)})"


def _unjudged(report: Report, *, production: bool) -> list[str]:
    found = (one.stack for one in report.unjudged if one.production is production)
    return list(dict.fromkeys(found))


def _bill(bill: Bill) -> Iterator[str]:
    if bill.note:
        yield f"changes the cost of {code(bill.stack)} by an unknown amount"
        return
    gpus = _moved(bill.gpus_ceiling_before, bill.gpus_ceiling_after)
    if gpus:
        yield f"{gpus} GPUs at most in {code(bill.stack)}"
    floor, ceiling = (
        _moved(_usd(before), _usd(after), "$")
        for before, after in (
            (bill.floor_before, bill.floor_after),
            (bill.ceiling_before, bill.ceiling_after),
        )
    )
    if floor or ceiling:
        yield f"{floor or '$0'} to {ceiling or '$0'} a month in {code(bill.stack)}"


def _usd(money: Money | None) -> float | None:
    return money.usd_per_month if money else None


def _moved(before: float | None, after: float | None, sign: str = "") -> str:
    """The step with its sign; a side that is not there, or not known, counts as 0."""
    step = (after or 0) - (before or 0)
    if not round(step):
        return ""
    return f"{'+' if step > 0 else '-'}{sign}{abs(step):,.0f}"


def _calm(report: Report) -> Iterator[str]:
    if created := report.of("created"):
        yield f"creates {_count(created, 'resource')}"
    updated = [
        item
        for item in report.of("changed")
        if not item.labels_only and item.protection != "removed"
    ]
    if updated:
        yield f"updates {_count(updated, 'resource')} in place"
    labels = [item for item in report.of("changed") if item.labels_only]
    if labels:
        yield f"changes labels of {_count(labels, 'resource')}"
    if found := report.rules_of("gone"):
        yield f"keeps rules in {_count(found, 'more place')}"
    if added := [one for one in report.rule_changes if one.change == "added"]:
        yield f"adds {_count(added, 'rule')}"
    if options := sum(stack.options_only for stack in report.stacks):
        yield f"changes options of the engine for {_number(options, 'resource')}"


def _stacks(names: Sequence[str]) -> str:
    """The first stacks by name, and the number of the others."""
    shown = [code(name) for name in names[:SHOWN_STACKS]]
    if len(names) > SHOWN_STACKS:
        shown.append(f"{len(names) - SHOWN_STACKS} more")
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _count(found: Sized, noun: str) -> str:
    return _number(len(found), noun)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
