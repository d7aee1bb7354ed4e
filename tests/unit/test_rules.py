"""The files of policies/: what is refused, who is waived, and what CEL says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.security import rules
from components.settings import SettingsError
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
        "variables": {"variables": {"names": "[object.metadata.name]"}},
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
