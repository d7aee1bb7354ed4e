"""Which alerts `make demo-drift` expects: their names are real, others are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.demo_drift import expectations, timeline, watched
from examples.demo_drift.census import Card
from examples.demo_drift.expectations import DIFFERENCE, OF_DATA, RATIO, Expected
from examples.demo_drift.prometheus import Fired

CARD = Card(
    folder=Path("/nowhere"),
    version="1",
    revision="sha256:1",
    features=("AGEP", "SEX"),
    keep=("AGEP",),
    protected=("SEX",),
)
AGES = Fired("ModelDataDrift", (("feature", "AGEP"),))
SCHOOL = Fired("ModelDataDrift", (("feature", "SCHL"),))


def test_every_stage_has_its_expectation() -> None:
    assert {it.name for it in timeline.stages()} == expectations.EVERYTHING.keys()


def test_only_alerts_of_the_rule_file_are_expected() -> None:
    known = set(watched.names(CARD))
    for it in expectations.EVERYTHING.values():
        for pattern in (*it.required, *it.allowed, *it.resolved):
            assert pattern.name in known
            assert pattern.name not in expectations.NOT_HERE
    assert expectations.NOT_HERE.keys() <= known


def test_what_is_required_must_fire() -> None:
    wanted = Expected(required=(OF_DATA[0],))
    assert wanted.wrong([AGES], [AGES]) == []
    assert wanted.wrong([], []) == ["ModelDataDrift (feature=AGEP) did not fire"]


def test_what_is_not_expected_must_be_silent() -> None:
    wanted = Expected(required=(OF_DATA[0],))
    assert wanted.wrong([AGES, SCHOOL], []) == ["ModelDataDrift (feature=SCHL) fired"]
    down = Fired("MonitorDown")
    assert wanted.wrong([AGES, down], []) == ["MonitorDown fired"]


def test_what_is_over_must_be_resolved() -> None:
    wanted = Expected(allowed=OF_DATA, resolved=OF_DATA)
    assert wanted.wrong([AGES], []) == []
    assert wanted.wrong([AGES], [AGES]) == [
        "ModelDataDrift (feature=AGEP) still fires at the end"
    ]


def test_with_few_rows_fairness_is_not_judged_and_the_rest_is() -> None:
    fired = Fired(RATIO.name, tuple(sorted(RATIO.labels.items())))
    for rows, wrong in ((True, [f"{DIFFERENCE} did not fire"]), (False, [])):
        wanted = expectations.expected("served 2016", all_rows=rows)
        assert wanted.wrong([fired], [fired]) == wrong
    few = expectations.expected("fault served", all_rows=False)
    assert few.required == OF_DATA


@pytest.mark.parametrize("name", ["alertname", "alertstate", "severity", "revision"])
def test_an_alert_is_reported_by_what_it_is_about(name: str) -> None:
    labels = {"alertname": "ModelDataDrift", "feature": "AGEP", name: "ModelDataDrift"}
    assert str(Fired.of(labels)) == "ModelDataDrift (feature=AGEP)"
