"""What the rules say of a change, and of a change of the rules."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import lookups
from slipway import stack_settings
from slipway.preview import comparison, judgement, markdown, verdict, views
from slipway.preview.report import Report, RuleResult, Unjudged
from slipway.preview.sides import Side
from slipway.rendering.recorder import Resource
from stacks import files
from tests.support.compared import Edit, checkout, nothing, put

STACK, PROD = "models.dev", "cluster.prod"
LONG = {
    "id": "short-names",
    "severity": "error",
    "kinds": ["ConfigMap"],
    "expression": "size(object.metadata.name) > 3 ? [object.metadata.name] : []",
    "message": "A name is long",
    "why": "It is hard to read.",
    "fix": "Give a short one.",
    "since": "2026-11-30",
}
WAIVER = {
    "rules": ["short-names"],
    "objects": ["ConfigMap/n/long-one"],
    "until": "2099-01-01",
    "who": "its author",
    "why": "No time.",
}
_EMPTY = Report(
    *("base", "head", "base", "placeholders", "nothing", ""), (), (), (), (), ()
)


def config_map(name: str) -> Resource:
    type_ = "kubernetes:core/v1:ConfigMap"
    metadata = {"name": name, "namespace": "n"}
    return Resource(f"{type_}::{name}", type_, name, {"metadata": metadata}, True)


def side(
    folder: Path,
    rule: dict[str, Any] | None,
    *waivers: Any,
    stack: str = STACK,
    edit: Edit = nothing,
) -> Side:
    """A checkout with one rule; none where it has no rules."""
    checkout(folder, stack, edit)
    if rule is not None:
        (folder / "policies").mkdir()
        given = {k: v for k, v in rule.items() if k != "id"}
        content = {"rules": {rule["id"]: given}, "waivers": list(waivers)}
        (folder / "policies/own.yaml").write_text(yaml.safe_dump(content))
    return Side(folder.name, folder)


def judged(
    base: Side,
    head: Side,
    before: tuple[str, ...],
    after: tuple[str, ...],
    stack: str = STACK,
) -> judgement.Judgement:
    graphs = [{stack: tuple(config_map(n) for n in names)} for names in (before, after)]
    return judgement.judge([stack], (base, head), (graphs[0], graphs[1]), (None, None))


def states(found: judgement.Judgement) -> set[tuple[str, str, tuple[str, ...]]]:
    return {(r.object.rpartition("/")[2], r.state, r.by) for r in found.results}


BOTH = ("base", "head")
UNREAD: Any = ("base", "base's rules cannot be read")
POLICY = "policies/own.yaml"


def test_results_are_new_there_or_gone(tmp_path: Path) -> None:
    base, head = side(tmp_path / "base", LONG), side(tmp_path / "head", LONG)
    found = judged(base, head, ("long-old", "long-kept", "a"), ("long-kept", "long-n"))
    assert states(found) == {
        ("long-old", "gone", ("base",)),
        ("long-kept", "there", BOTH),
        ("long-n", "new", BOTH),
    }
    assert not found.changes
    assert not found.notes
    (new,) = (r for r in found.results if r.state == "new")
    assert new.file == "stacks/config/Pulumi.models.dev.yaml"
    assert new.level == "warning"  # production does not depend on the stack


@pytest.mark.parametrize(
    ("rule", "waivers", "change"),
    [
        (LONG | {"id": "other"}, (), "removed"),
        (LONG | {"expression": "[]"}, (), "changed"),
        (LONG | {"production_only": True}, (), "changed"),
        (LONG, (WAIVER,), "waived"),
        (None, (), "removed"),
    ],
)
def test_a_change_that_weakens_a_rule_is_judged_by_the_rule_as_it_was(
    rule: Any, waivers: tuple[Any, ...], change: str, tmp_path: Path
) -> None:
    base = side(tmp_path / "base", LONG)
    head = side(tmp_path / "head", rule, *waivers)
    found = judged(base, head, (), ("long-one",))
    assert ("long-one", "new", ("base",)) in states(found)
    assert change in {one.change for one in found.changes}


def test_what_only_heads_own_rules_find_is_reported(tmp_path: Path) -> None:
    base = side(tmp_path / "base", LONG | {"expression": "[]"})
    head = side(tmp_path / "head", LONG)
    found = judged(base, head, ("long-one",), ("long-one",))
    assert states(found) == {("long-one", "new", ("head",))}


def test_other_words_of_a_rule_are_no_change(tmp_path: Path) -> None:
    base = side(tmp_path / "base", LONG)
    head = side(tmp_path / "head", LONG | {"why": "Because.", "fix": "Shorten it."})
    assert not judged(base, head, (), ()).changes


@pytest.mark.parametrize(
    ("before", "after", "leaving"),
    [(True, False, [PROD]), (False, True, []), (True, True, []), (False, False, [])],
)
@pytest.mark.parametrize("rule", [LONG, LONG | {"production_only": True}])
def test_a_stack_that_leaves_production_is_judged_as_production(
    rule: Any, before: bool, after: bool, leaving: list[str], tmp_path: Path
) -> None:
    base, head = (
        side(
            tmp_path / name,
            rule,
            stack=PROD,
            edit=put("account", "production", value=value),
        )
        for name, value in (("base", before), ("head", after))
    )
    found = judged(base, head, (), ("long-one",), PROD)
    elsewhere = [] if "production_only" in rule else ["warning"]
    levels = ["error"] if before or after else elsewhere
    assert [one.level for one in found.results] == levels
    assert found.leaving == leaving


def test_leaving_production_is_a_danger() -> None:
    report = verdict.with_verdict(
        dataclasses.replace(_EMPTY, leaves_production=("a.b", "c.d", "e.f", "g.h"))
    )
    assert report.level == "danger"
    assert report.verdict == "Takes `a.b`, `c.d`, `e.f` and 1 more out of production."
    assert "#### Leaves production\n" in markdown.text(report)


def test_rules_of_base_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    base = side(tmp_path / "base", LONG | {"expression": "size("})
    head = side(tmp_path / "head", LONG)
    found = judged(base, head, (), ("long-one",))
    assert not found.results
    (one,) = found.unjudged
    assert (one.stack, one.side, one.reason) == (STACK, *UNREAD)
    assert "rules of `base` are not read" in found.notes[0]
    assert "short-names" in found.notes[0]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (None, "head has no rules"),
        (LONG | {"expression": "size("}, "head's rules cannot be read"),
    ],
)
def test_rules_of_head_that_are_not_there_or_not_read_are_reported(
    rule: Any, text: str, tmp_path: Path
) -> None:
    base, head = side(tmp_path / "base", LONG), side(tmp_path / "head", rule)
    (change,) = judged(base, head, (), ("long-one",)).changes
    assert (change.rule, change.change, change.text) == ("all", "removed", text)


def test_a_base_without_rules_judges_nothing(tmp_path: Path) -> None:
    """As checkouts before the rules were."""
    base, head = side(tmp_path / "base", None), side(tmp_path / "head", LONG)
    assert judged(base, head, (), ("long-one",)) == judgement.Judgement()


@pytest.mark.parametrize("where", ["base", "head"])
@pytest.mark.parametrize("stack", [STACK, PROD])
def test_a_stack_with_unknown_settings_is_not_judged(
    stack: str, where: str, tmp_path: Path
) -> None:
    """Nothing of it is new, and above all nothing is gone."""
    sides = {n: side(tmp_path / n, LONG, stack=stack) for n in ("base", "head")}
    file = files.path(stack, sides[where].folder)
    file.write_text("config: {slipway:no_such_setting: 1}\n")
    long = ("long-one",)
    found = judged(sides["base"], sides["head"], long, long, stack)
    assert not found.results
    (one,) = found.unjudged
    assert (one.side, one.reason) == (
        where,
        "its settings are not known to the code that compares",
    )
    assert one.production is (stack == PROD)


def test_production_may_depend_on_what_nobody_knows(tmp_path: Path) -> None:
    both = [side(tmp_path / name, LONG) for name in ("base", "head")]
    for one in both:
        files.path(STACK, one.folder).write_text("config: {slipway:no_such: 1}\n")
    found = judged(both[0], both[1], ("long-one",), ("long-one",))
    assert [(one.side, one.production) for one in found.unjudged] == [
        ("base", True),
        ("head", True),
    ]


def test_a_stack_that_is_gone_or_new_is_judged(tmp_path: Path) -> None:
    base, head = side(tmp_path / "base", LONG), side(tmp_path / "head", LONG)
    graph, none = {STACK: (config_map("long-one"),)}, dict[str, Any]()
    for graphs, state in (((graph, none), "gone"), ((none, graph), "new")):
        found = judgement.judge([STACK], (base, head), graphs, (None, None))
        assert not found.unjudged
        assert [one.state for one in found.results] == [state]


@pytest.mark.parametrize(
    ("production", "level"), [(True, "danger"), (False, "attention")]
)
def test_the_verdict_says_what_was_not_judged(production: bool, level: str) -> None:
    side, reason = UNREAD
    one = Unjudged(STACK, side, reason, production)
    report = dataclasses.replace(_EMPTY, unjudged=(one,))
    report = verdict.with_verdict(report)
    assert report.verdict == "Could not judge `models.dev` by the rules."
    assert (report.level, report.changed) == (level, True)
    text = markdown.text(report)
    assert "- `models.dev`, as it is in base: `base's rules cannot be read`" in text


def test_a_file_of_head_that_is_no_file_of_rules_is_reported(tmp_path: Path) -> None:
    base, head = side(tmp_path / "base", LONG), side(tmp_path / "head", LONG)
    texts: list[Any] = ["[1]", "rules: [a]", "rules: {a: 1}", b"\xfc"]
    texts += ["rules: " + "[" * 101 + "1" + "]" * 101, "rules: &a {a: *a}"]
    for text in texts:
        data = text if isinstance(text, bytes) else text.encode()
        (head.folder / POLICY).write_bytes(data)
        assert_unread(judged(base, head, (), ("long-one",)))
    (head.folder / POLICY).unlink()
    (head.folder / POLICY).symlink_to("nowhere")
    assert_unread(judged(base, head, (), ("long-one",)))


def assert_unread(found: judgement.Judgement) -> None:
    (change,) = found.changes
    assert change.text == "head's rules cannot be read"
    assert states(found) == {("long-one", "new", ("base",))}


@pytest.mark.parametrize("file", ["stacks/config/Pulumi.models.dev.yaml", POLICY])
def test_no_file_of_head_makes_the_judge_run_code(file: str, tmp_path: Path) -> None:
    """A harmless stand-in for a command in a file that PyYAML could be made to run."""
    base, head = side(tmp_path / "base", LONG), side(tmp_path / "head", LONG)
    mark = tmp_path / "ran"
    text = f'!!python/object/apply:os.mkdir ["{mark}"]'
    (head.folder / file).write_text(
        f"{{config: {{slipway:models: {text}}}, rules: {text}}}\n"
    )
    found = judged(base, head, ("long-one",), ("long-one",))
    assert found.unjudged or found.changes
    graphs = ({STACK: (config_map("a"),)}, {STACK: (config_map("b"),)})
    report = comparison.of_graphs(base, head, [STACK], graphs)
    assert {item.action for item in report.items} == {"created", "deleted"}
    assert not mark.exists()


def test_what_settings_of_head_name_elsewhere_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = side(tmp_path / "base", LONG), side(tmp_path / "head", LONG)
    allowed = []
    load = stack_settings.load

    def noted(*args: Any) -> Any:
        allowed.append(lookups.allowed())
        return load(*args)

    monkeypatch.setattr(stack_settings, "load", noted)
    judged(base, head, ("long-one",), ("long-one",))
    assert allowed == [False, False]


def result(state: Any, level: Any = "error", by: Any = BOTH) -> RuleResult:
    return RuleResult(
        *(STACK, "short-names", f"ConfigMap/n/{state}", state, level, "A name is long"),
        *(("`long`",), "Give a short one.", "stacks/config/Pulumi.a.yaml", 7, by),
    )


@pytest.mark.parametrize(
    ("level", "wrong", "state", "told"),
    [
        ("warning", ("a", "b"), "there", ("a", "b")),
        ("warning", ("a",), "there", ("a",)),
        ("warning", ("a", "c"), "new", ("c",)),
        ("error", ("a",), "new", ("a",)),
    ],
)
def test_what_is_wrong_beside_what_was_before_is_new(
    level: Any, wrong: tuple[str, ...], state: str, told: tuple[str, ...]
) -> None:
    key = (STACK, "short-names", "ConfigMap/n/a")
    old = dataclasses.replace(result("there", "warning"), wrong=("a", "b"))
    new = dataclasses.replace(result("there", level), wrong=wrong)
    (found,) = judgement._states({key: old}, {key: new}, {key: new})
    assert (found.state, found.wrong, found.level) == (state, told, level)


def test_the_verdict_and_the_markdown_say_it() -> None:
    found = [result("new"), result("there"), result("gone")]
    report = verdict.with_verdict(dataclasses.replace(_EMPTY, rules=tuple(found)))
    assert report.level == "danger"
    assert report.verdict.startswith("Breaks rules of production in 1 place,")
    text = markdown.text(report)
    assert "- new error: `models.dev` `ConfigMap/n/new`: `short-names`" in text
    assert "- gone: `models.dev` `ConfigMap/n/gone`" in text
    assert "- 1 still there, the same on both sides" in text
    only_there = dataclasses.replace(_EMPTY, rules=(result("there"),))
    assert verdict.with_verdict(only_there).level == "nothing"
    warned = dataclasses.replace(_EMPTY, rules=(result("new", "warning"),))
    assert verdict.with_verdict(warned).level == "attention"


def test_code_hosts_get_what_is_open_and_people_what_is_new() -> None:
    report = dataclasses.replace(
        _EMPTY, rules=(result("new"), result("there"), result("gone"))
    )
    log = json.loads(views.sarif(report))
    found = [r["message"]["text"].partition(":")[0] for r in log["runs"][0]["results"]]
    assert found == ["ConfigMap/n/new", "ConfigMap/n/there"]
    assert len(json.loads(views.gitlab(report))) == 2
    commands = views.github(report)
    assert commands.startswith("::error file=stacks/config/Pulumi.a.yaml,line=7,")
    assert commands.count("::error") == 1
