"""The figures that `make demo-drift` compares: its oracle, and what counts as equal."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn import metrics

from examples.demo_drift import oracle
from examples.demo_drift.comparison import Figure, Year, lasting
from examples.demo_drift.oracle import Judged

ROWS = 4_000


@pytest.fixture(scope="module")
def judged() -> Judged:
    chance = np.random.default_rng(7)
    labels = chance.integers(0, 2, ROWS)
    scores = np.clip(labels * 0.3 + chance.random(ROWS) * 0.7, 0, 1)
    groups = chance.choice(4, ROWS, p=(0.6, 0.25, 0.145, 0.005))
    return Judged(
        (scores > 0.5 + groups * 0.03).astype(int), scores, labels, {"g": groups}
    )


def test_fairness_is_fairlearns_for_groups_with_enough_rows(judged: Judged) -> None:
    found = oracle.fairness(judged, "g", 200)
    groups = judged.groups["g"]
    large = groups < 3
    given = {
        "y_true": judged.labels[large],
        "y_pred": judged.decisions[large],
        "sensitive_features": groups[large],
    }
    for name in found:
        right = getattr(metrics, name)(**given)
        assert found[name] == pytest.approx(right, abs=1e-12)
    assert len(found) == 3


def test_one_group_is_compared_with_none(judged: Judged) -> None:
    assert oracle.fairness(judged, "g", ROWS) == {}


def figure(value: float | None, right: float | None) -> Figure:
    return Figure(2016, "accuracy", value, None, None, right, 1e-9)


def test_figures_are_equal_to_the_tolerance() -> None:
    assert figure(0.5, 0.5 + 1e-10).is_equal
    assert not figure(0.5, 0.5 + 1e-8).is_equal
    assert figure(None, None).is_equal
    assert not figure(None, 0.5).is_equal
    assert not figure(0.5, None).is_equal


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        (
            {"labelled": 9},
            ["2016: 10 rows were sent, the monitor has 10 with 9 labels"],
        ),
        ({"persistent": ("AGEP",)}, ["2016: drift of AGEP"]),
        ({"persisted": {"SCHL": 1}}, ["2016: drift of SCHL"]),
        ({"persisted": {"SCHL": 1}, "is_whole": False}, []),
        ({"persisted": {"ANC": 1}, "drifted": {"ANC": 4, "SCHL": 1}}, []),
        ({"drifted": {"AGEP": 1}}, ["2016: drift of AGEP"]),
        (
            {"quality": (figure(0.5, 0.6),)},
            ["2016: accuracy: the monitor says 0.5, the oracle 0.6"],
        ),
        (
            {"fairness": (("SEX", figure(0.5, 0.6)),)},
            ["2016: accuracy: the monitor says 0.5, the oracle 0.6"],
        ),
    ],
)
def test_a_year_tells_what_is_wrong(
    changes: dict[str, object], wrong: list[str]
) -> None:
    right: dict[str, object] = {
        "year": 2016,
        "rows": 10,
        "answered": 10,
        "labelled": 10,
        "quality": (figure(0.5, 0.5),),
        "fairness": (),
        "drifted": {},
        "persisted": {},
        "largest_effect": 0.01,
        "persistent": (),
    }
    assert Year(**(right | changes)).wrong == wrong  # type: ignore[arg-type]


def test_drift_lasts_on_two_of_three_days() -> None:
    days = [{"a"}, {"b"}, {"a"}, set[str](), set[str](), {"b"}, {"b", "a"}]
    none = set[str]()
    assert lasting(days) == [none, none, {"a"}, none, none, none, {"b"}]
