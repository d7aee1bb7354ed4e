"""The files of policies/: what is refused, who is waived, and what CEL says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.security import rules
from components.settings import SettingsError
from slipway.policy import evaluation
from slipway.policy.evaluation import Evaluator, ExpressionError

UNTIL = date(2027, 1, 31)
RULE = {
    "severity": "error",
    "kinds": ["ConfigMap"],
    "expression": "variables.names.filter(n, n != params.data.wanted)",
    "message": "Names are wrong",
    "why": "Nobody finds them.",
    "fix": "Rename them.",
    "since": date(2026, 11, 29),
}
WAIVER = {
    "rules": ["names"],
    "objects": ["ConfigMap/models/a"],
    "environments": ["lab"],
    "until": UNTIL,
    "who": "the team",
    "why": "It is renamed in January.",
}


def written(folder: Path, **change: Any) -> Path:
    """A folder of rules with one rule, changed."""
    texts = {
        "one": {"rules": {"names": {**RULE, **change.pop("rule", {})}}},
        "variables": {
            "variables": {
                "names": "[object.metadata.name]",
                **change.pop("variables", {}),
            }
        },
        "parameters": {"parameters": {"all": {"wanted": "a"}, "prod": {"wanted": "b"}}},
        "waivers": {"waivers": [{**WAIVER, **change.pop("waiver", {})}]},
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(text))
    return folder


def named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def test_an_expression_gives_what_is_wrong(tmp_path: Path) -> None:
    listed = rules.load(written(tmp_path))
    evaluator = Evaluator(listed)
    rule = listed.rules["names"]
    for environment, right in (("lab", "a"), ("prod", "b")):
        values = listed.parameters_of(environment)
        assert evaluator.wrong(rule, named(right), values) == []
        assert evaluator.wrong(rule, named("c"), values) == ["c"]


def test_an_object_that_cannot_be_judged_is_wrong(tmp_path: Path) -> None:
    listed = rules.load(written(tmp_path))
    (text,) = Evaluator(listed).wrong(listed.rules["names"], {}, {"wanted": "a"})
    assert text.startswith("it cannot be judged: ")


def test_an_expression_that_gives_no_list_judges_nothing(tmp_path: Path) -> None:
    folder = written(tmp_path, rule={"expression": "object.metadata.name == 'a'"})
    listed = rules.load(folder)
    (text,) = Evaluator(listed).wrong(listed.rules["names"], named("a"), {})
    assert text.startswith("it cannot be judged: ")


def test_all_expressions_that_are_no_cel_are_named(tmp_path: Path) -> None:
    folder = written(tmp_path, rule={"expression": "object.nope("})
    with pytest.raises(ExpressionError, match="Syntax error"):
        Evaluator(rules.load(folder))


def test_two_lists_of_rules_share_what_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the two sides of `slipway compare` have mostly the same rules."""
    Evaluator(rules.load(written(tmp_path)))
    monkeypatch.setattr(evaluation, "_environment", None)  # a call would fail
    Evaluator(rules.load(written(tmp_path)))


def test_a_waiver_holds_until_its_day_in_its_environment(tmp_path: Path) -> None:
    listed = rules.load(written(tmp_path))
    wanted = {"names": ["ConfigMap/models/a"]}
    assert listed.waivers_of("lab", UNTIL) == wanted
    assert listed.waivers_of("lab", UNTIL + timedelta(days=1)) == {}
    assert listed.waivers_of("prod", UNTIL) == {}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"rule": {"severity": "fatal"}}, "rules.names.severity"),
        ({"rule": {"kinds": ["Pods"]}}, "rules.names.kinds.0"),
        ({"rule": {"expression": "variables.nope"}}, "rules.names.expression"),
        ({"rule": {"why": " "}}, "rules.names.why"),
        ({"waiver": {"rules": ["other"]}}, "waivers.0.rules"),
        ({"waiver": {"until": "soon"}}, "waivers.0.until"),
        ({"variables": {"names": "variables.nope"}}, "variables.names"),
        ({"variables": {"a": "variables.b", "b": "variables.a"}}, "variables.a"),
        ({"variables": {"a": "[variables.a]"}}, "variables.a"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(
    tmp_path: Path, change: dict[str, Any], path: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        rules.load(written(tmp_path, **change))
    assert [p.path for p in caught.value.problems] == [path]


def test_variables_come_before_those_that_use_them() -> None:
    found = rules.load().variables_of("variables.containers.map(c, c.name)")
    assert list(found) == ["pod", "containers"]


WRONG = {
    "[1]": "own.yaml",
    "word": "own.yaml",
    "false": "own.yaml",
    "rules: [a]": "own.yaml rules",
    "rules: {a: 1}": "own.yaml rules.a",
    "rules: {names: {id: other}}": "own.yaml rules.names.id",
    "variables: [a]": "own.yaml variables",
    "parameters: 1": "own.yaml parameters",
    "parameters: {prod: [a]}": "own.yaml parameters.prod",
    "waivers: {a: 1}": "own.yaml waivers",
    "waivers: text": "own.yaml waivers",
    "a: [": "own.yaml",
    "rules: {}\nrules: {}": "own.yaml",
    "1: 2": "1",
}
"""Paths of the problems by the text of a file of rules."""


@pytest.mark.parametrize("text", WRONG)
def test_a_file_of_another_form_is_named(tmp_path: Path, text: str) -> None:
    (written(tmp_path) / "own.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        rules.load(tmp_path)
    (problem,) = caught.value.problems
    assert problem.path == WRONG[text]
    assert problem.reason
    assert problem.fix


def test_all_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"rules: {}  # \xfc\n")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(SettingsError, match="No such file or directory") as caught:
        rules.load(tmp_path)
    assert [problem.path for problem in caught.value.problems] == [
        *("folder.yaml", "latin.yaml", "link.yaml"),
    ]


@pytest.mark.parametrize(
    "text", ["rules:", "variables:", "parameters: {prod: }", "waivers:", "", "# a"]
)
def test_a_part_may_be_empty(tmp_path: Path, text: str) -> None:
    expected = rules.load(written(tmp_path)).rules
    (tmp_path / "own.yaml").write_text(text)
    assert rules.load(tmp_path).rules == expected
