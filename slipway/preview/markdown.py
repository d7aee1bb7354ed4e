"""The report as Markdown, for a comment or a job's summary: the verdict first.

Names and values come from the code that is reviewed. They stand in code spans with
nothing in them that could end one, so that they can neither format the text nor
mention anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from slipway.preview.items import code, item_text, items, kind_text, title
from slipway.preview.report import (
    Bill,
    Drift,
    Eviction,
    Item,
    Money,
    PathChange,
    Previewed,
    Report,
    Restart,
    RuleResult,
    Share,
    StackReport,
)

LIMIT_CHARACTERS = 60_000
"""GitHub takes comments of up to 65,536 characters."""
SHOWN_PATHS = 6
"""Changed paths of one resource that are shown; the JSON report has all."""
SHOWN_DISAGREEMENTS = 30
SHOWN_RULES = 10
"""Results of rules of one kind that are shown."""
MARKS = {
    "nothing": "✅",
    "calm": "✅",
    "attention": "⚠️",
    "danger": "🛑",
}
_CUT = "\n*Cut here: the JSON report has the rest.*\n"


def text(report: Report, limit: int = LIMIT_CHARACTERS) -> str:
    """The whole report, of at most `limit` characters."""
    return cut("\n".join(_lines(report)) + "\n", limit)


def cut(found: str, limit: int = LIMIT_CHARACTERS) -> str:
    """The text if it is short enough, else its beginning and a line that says so."""
    if len(found) <= limit:
        return found
    kept = found[: limit - len(_CUT) - 100]
    kept = kept[: kept.rfind("\n") + 1]
    return kept + "</details>\n" * _open(kept) + _CUT


def _open(kept: str) -> int:
    return kept.count("<details>") - kept.count("</details>")


def _lines(report: Report) -> Iterator[str]:
    yield f"### {MARKS[report.level]} {report.verdict}"
    yield ""
    yield f"{code(report.base)} to {code(report.head)}, judged by {_judge(report)}."
    if report.images == "placeholders":
        yield "Images are placeholders: a new build of an image does not show."
    yield from _previews(report.previews)
    if report.leaves_production:
        yield from title("Leaves production")
        yield "Head is judged as production all the same, as base is:"
        yield from (f"- {code(stack)}" for stack in report.leaves_production)
    if report.unjudged:
        yield from title("Not judged by the rules")
        yield from (
            f"- {code(one.stack)}, as it is in {one.side}: {code(one.reason)}"
            for one in report.unjudged
        )
    yield from _unprotected(report)
    yield from items("Replaced", report.of("replaced"))
    yield from items("May be replaced", report.of("unknown"))
    yield from items("Moved", report.of("moved"))
    yield from items("Deleted", report.of("deleted"))
    yield from _restarts(report.restarts)
    yield from _drifts(report.drifts)
    yield from _traffic(report.traffic)
    yield from _evictions(report.evictions)
    yield from _bills(report.bills)
    yield from _rules(report)
    if report.secrets:
        yield from title("Encrypted values")
        yield from (
            f"- {code(s.stack)} {code(s.setting)}: changed" for s in report.secrets
        )
    if report.notes:
        yield from title("Notes")
        yield from (f"- {note}" for note in report.notes)
    for stack in report.stacks:
        yield from _stack(stack)


def _previews(previews: Sequence[Previewed]) -> Iterator[str]:
    """Show where the engine's preview agrees with the renderings, and where not."""
    for one in previews:
        decided = f", decided about {one.decided}" if one.decided else ""
        yield (
            f"The engine previewed {code(one.stack)}: it agrees about {one.agreed} "
            f"changed resources{decided}, disagrees about {len(one.disagreements)}."
        )
    found = [d for one in previews for d in one.disagreements]
    if found:
        yield from title("The engine disagrees")
        yield "| stack | resource | by the renderings | by the engine | properties |"
        yield "|---|---|---|---|---|"
    for each in found[:SHOWN_DISAGREEMENTS]:
        words = {"unknown": "may be replaced"}
        paths = ", ".join(code(path) for path in each.paths[:SHOWN_PATHS])
        cells = [code(each.stack), f"{kind_text(each.type)} {code(each.name)}"]
        cells += [words.get(each.rendered, each.rendered), each.engine, paths]
        yield "| " + " | ".join(cells) + " |"
    if len(found) > SHOWN_DISAGREEMENTS:
        yield f"\nAnd {len(found) - SHOWN_DISAGREEMENTS} more."


def _judge(report: Report) -> str:
    return {
        "base": "base's code",
        "head": "head's code, which the change may have changed",
        "other": "code of another checkout",
    }[report.judge]


def _unprotected(report: Report) -> Iterator[str]:
    """Show unprotected resources with data, and the number of all others."""
    found = [item for item in report.items if item.protection == "removed"]
    if found:
        yield from title("Protection removed")
        data = [item for item in found if item.holds_data]
        yield from (f"- {item_text(item)}: **holds data**" for item in data)
        if len(found) > len(data):
            yield f"- {len(found) - len(data)} that hold no data themselves"


def _restarts(restarts: Sequence[Restart]) -> Iterator[str]:
    if not restarts:
        return
    yield from title("Pods restarted")
    yield "| stack | workload | pods | strategy | surge | unavailable | drain | why |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in restarts:
        workload = f"{code(one.kind)} {code(one.name)}"
        cells = [code(one.stack), workload, _replicas(one)]
        cells += map(code, (one.strategy, one.surge, one.unavailable))
        cells += [f"{one.drain_seconds} s", _first_paths(one.changes)]
        yield "| " + " | ".join(cells) + " |"


def _replicas(one: Restart) -> str:
    if one.replicas_min is None:
        return "one a node"
    if one.replicas_min == one.replicas_max:
        return str(one.replicas_min)
    return f"{one.replicas_min} to {one.replicas_max or 'no limit'}"


def _first_paths(changes: Sequence[PathChange]) -> str:
    paths = [change.path.removeprefix("spec.template.") for change in changes]
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(code(path) for path in paths[:3]) + more


def _drifts(found: Sequence[Drift]) -> Iterator[str]:
    if not found:
        return
    yield from title("Nodes replaced")
    yield (
        "Numbers are what the pools' bounds admit before the change: no cluster is "
        "asked. Drains are the longest ones, without the start of new nodes.\n"
    )
    yield "| stack | pool | nodes | at once | drain | all drains | why |"
    yield "|---|---|---|---|---|---|---|"
    for one in found:
        most = "no known limit" if one.nodes_max is None else one.nodes_max
        cells = [code(one.stack), f"{code(one.kind)} {code(one.pool)}"]
        cells += [f"{one.nodes_min} to {most}", code(one.at_once)]
        cells += map(_seconds, (one.drain_seconds, one.longest_seconds))
        why = _first_paths(one.changes) or "the group is replaced"
        yield "| " + " | ".join([*cells, why]) + " |"


def _seconds(value: int | None) -> str:
    return "no limit" if value is None else f"{value} s"


def _traffic(shares: Sequence[Share]) -> Iterator[str]:
    if not shares:
        return
    yield from title("Traffic moved")
    yield "| stack | route | rule | backend | before | after |"
    yield "|---|---|---|---|---|---|"
    for one in shares:
        cells = [one.stack, one.route, one.rule, one.backend]
        numbers = [_percent(one.before), _percent(one.after)]
        yield "| " + " | ".join([*(code(cell) for cell in cells), *numbers]) + " |"


def _evictions(found: Sequence[Eviction]) -> Iterator[str]:
    if not found:
        return
    yield from title("Jobs that may be evicted")
    yield "| stack | for | job | GPUs | work lost, at most | time to end |"
    yield "|---|---|---|---|---|---|"
    for one in found:
        # Numbers too: they are what an annotation says.
        cells = [one.stack, one.rollout, one.job, one.gpus]
        cells += [f"{one.lost_seconds} s", f"{one.stop_seconds} s"]
        yield "| " + " | ".join(map(code, cells)) + " |"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:g} %"


def _bills(bills: Sequence[Bill]) -> Iterator[str]:
    if not bills:
        return
    yield from title("Cost and GPUs")
    yield "| stack | | before | after |"
    yield "|---|---|---|---|"
    for bill in bills:
        usd = _usd(bill.floor_before, bill.ceiling_before)
        after = _usd(bill.floor_after, bill.ceiling_after)
        yield f"| {code(bill.stack)} | $ a month | {usd} | {after} |"
        gpus = _gpus(bill.gpus_floor_before, bill.gpus_ceiling_before)
        after = _gpus(bill.gpus_floor_after, bill.gpus_ceiling_after)
        yield f"| {code(bill.stack)} | GPUs | {gpus} | {after} |"
    for price in dict.fromkeys(price for bill in bills for price in bill.prices):
        yield f"\nPrices: {price}"
    for bill in bills:
        if bill.note:
            yield f"\n{code(bill.stack)}: {bill.note}"


def _usd(floor: Money | None, ceiling: Money | None) -> str:
    return (
        "-" if floor is None or ceiling is None else f"{_one(floor)} to {_one(ceiling)}"
    )


def _rules(report: Report) -> Iterator[str]:
    """Show newly violated rules, the number of all others, and changes of rules."""
    if report.rules_of("new") or report.rules_of("gone"):
        yield from title("Rules")
        for level in ("error", "warning"):
            found = report.rules_of("new", level)
            yield from (f"- new {level}: {_broken(one)}" for one in found[:SHOWN_RULES])
            if len(found) > SHOWN_RULES:
                yield f"- and {len(found) - SHOWN_RULES} more new ones as {level}"
        gone = report.rules_of("gone")
        yield from (f"- gone: {_place(one)}" for one in gone[:SHOWN_RULES])
        if len(gone) > SHOWN_RULES:
            yield f"- and {len(gone) - SHOWN_RULES} more that are gone"
        if there := report.rules_of("there"):
            yield f"- {len(there)} still there, the same on both sides"
    if report.rule_changes:
        yield from title("The rules themselves change")
        for one in report.rule_changes:
            text = f": {code(one.text)}" if one.text else ""
            yield f"- {one.change}: {code(one.rule)}{text}"
        accepted = [r for r in report.rules if r.state != "gone" and "head" not in r.by]
        yield from (
            f"- accepted by head's rules, not by base's: {_place(one)}"
            for one in accepted[:SHOWN_RULES]
        )
        if len(accepted) > SHOWN_RULES:
            yield f"- and {len(accepted) - SHOWN_RULES} more that head's rules accept"


def _place(one: RuleResult) -> str:
    return f"{code(one.stack)} {code(one.object)}: {code(one.rule)}"


def _broken(one: RuleResult) -> str:
    by = "" if "base" in one.by else ", by head's rules only"
    wrong = ", ".join(one.wrong)
    return f"{_place(one)}{by}, {code(f'{one.message}: {wrong}')}; {code(one.fix)}"


def _one(money: Money) -> str:
    if money.usd_per_month is None:
        return "unknown"
    return f"{'≥ ' if money.at_least else ''}{money.usd_per_month:,.0f}"


def _gpus(floor: int | None, ceiling: int | None) -> str:
    return "-" if floor is None else f"{floor} to {ceiling}"


def _stack(stack: StackReport) -> Iterator[str]:
    if all(item.action == "deleted" for item in stack.items) and not stack.options_only:
        return
    yield ""
    yield f"<details><summary>{code_html(stack.stack)}: {_summary(stack)}</summary>"
    yield ""
    for item in stack.items:
        if not item.labels_only and item.action != "deleted":
            action = "may be replaced:" if item.action == "unknown" else item.action
            yield f"- {action} {kind_text(item.type)} {code(item.name)}{_secret(item)}"
            yield from changed_paths(item.changes)
    labels = [item for item in stack.items if item.labels_only]
    if labels:
        yield f"- {len(labels)} changed in labels only: {_labels(labels)}"
    if stack.options_only:
        yield f"- {stack.options_only} changed in options of the engine only"
    yield ""
    yield "</details>"


def code_html(value: str) -> str:
    """The value in an HTML element, of letters that cannot end it."""
    plain = "".join(c for c in value if c.isalnum() or c in "._-")
    return f"<code>{plain}</code>"


def _summary(stack: StackReport) -> str:
    actions = [item.action for item in stack.items]
    words = {"unknown": "may be replaced"}
    counts = [
        f"{actions.count(action)} {words.get(action, action)}"
        for action in dict.fromkeys(actions)
    ]
    return ", ".join(counts) or "options of the engine only"


def _secret(item: Item) -> str:
    hidden = item.secret and item.action in ("changed", "replaced", "unknown", "moved")
    return " (secret values)" if hidden else ""


def changed_paths(changes: Sequence[PathChange]) -> Iterator[str]:
    """A line for each of the first ones, with both values."""
    for one in changes[:SHOWN_PATHS]:
        yield f"  - {code(one.path)}: {code(one.before)} → {code(one.after)}"
    if len(changes) > SHOWN_PATHS:
        yield f"  - and {len(changes) - SHOWN_PATHS} more"


def _labels(items: Iterable[Item]) -> str:
    changes = [change for item in items for change in item.changes]
    found = {(c.path.split(".", 2)[-1], c.before, c.after) for c in changes}
    shown = [f"{code(p)} {code(a)} → {code(b)}" for p, a, b in sorted(found)[:3]]
    more = [f"and {len(found) - 3} more"] if len(found) > 3 else []
    return ", ".join([*shown, *more])
