"""Fairness: known values of real data, few rows, and labels that are late."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest
from model_monitor import config
from model_monitor.config import Model
from model_monitor.counts.counts import Counts, Member
from model_monitor.figures.groups import of_attribute
from model_monitor.figures.results import FairnessMetric

from tests.support.monitor_cohorts import cohort, confused, days, only, results

SETTINGS = config.Fairness(("sex",))


def audit(
    cells: dict[Member, int], settings: config.Fairness = SETTINGS
) -> dict[str, FairnessMetric]:
    counts = Counts(members={"sex": Counter(cells)})
    found = of_attribute("sex", counts, counts, "2026-11-01", settings)
    assert found is not None
    return {it.metric: it for it in found.metrics}


def test_german_credit() -> None:
    """Applicants (Hofmann 1994, UCI, CC BY 4.0): of 690 men 499, of 310 women 201.

    The difference of .0748 is the value that papers on this data print.
    """
    found = audit(
        {
            ("m", 1, None): 499,
            ("m", 0, None): 191,
            ("f", 1, None): 201,
            ("f", 0, None): 109,
        }
    )
    parity = found["demographic_parity_difference"]
    assert parity.figure is not None
    assert parity.figure.value == pytest.approx(0.0748, abs=5e-5)
    assert parity.verdict == "within limits"
    ratio = found["demographic_parity_ratio"]
    assert ratio.figure is not None
    assert ratio.figure.value == pytest.approx(0.8966, abs=5e-5)
    assert ratio.figure.low is not None
    assert ratio.figure.low > 0.8
    assert found["equalized_odds_difference"].verdict == "not enough data"


def test_a_clear_difference_is_outside_limits() -> None:
    found = audit(
        {
            ("m", 1, 1): 800,
            ("m", 0, 0): 200,
            ("f", 1, 1): 400,
            ("f", 0, 1): 400,
            ("f", 0, 0): 200,
        }
    )
    assert found["demographic_parity_ratio"].verdict == "outside limits"
    assert found["demographic_parity_difference"].verdict == "outside limits"
    # True-positive rates are 1 and .5, false-positive rates 0 and 0.
    odds = found["equalized_odds_difference"]
    assert odds.figure is not None
    assert odds.figure.value == pytest.approx(0.5)
    assert odds.verdict == "outside limits"


def test_a_ratio_below_four_fifths_by_chance_is_no_alarm() -> None:
    # 40 of 100 against 30 of 100: .75, with an interval that reaches beyond 1.
    cells: dict[Member, int] = {
        ("m", 1, None): 40,
        ("m", 0, None): 60,
        ("f", 1, None): 30,
        ("f", 0, None): 70,
    }
    ratio = audit(cells)["demographic_parity_ratio"]
    assert ratio.figure is not None
    assert ratio.figure.value == pytest.approx(0.75)
    assert ratio.verdict == "within limits"


def test_small_groups_are_not_compared() -> None:
    cells: dict[Member, int] = {
        ("m", 1, None): 500,
        ("m", 0, None): 500,
        ("f", 0, None): 99,
    }
    assert audit(cells)["demographic_parity_ratio"].verdict == "not enough data"
    less = config.Fairness(("sex",), min_group=99)
    assert audit(cells, less)["demographic_parity_ratio"].verdict == "outside limits"


def test_nobody_selected_is_undefined() -> None:
    cells: dict[Member, int] = {("m", 0, None): 500, ("f", 0, None): 500}
    assert audit(cells)["demographic_parity_ratio"].verdict == "undefined"
    assert audit(cells)["demographic_parity_difference"].verdict == "within limits"


def test_selection_is_of_recent_rows_and_odds_are_of_due_ones() -> None:
    def members(selected: int) -> Counts:
        counts = confused(0, 0, 0, 0, unlabelled=1)
        counts.members = {
            "sex": Counter(
                {
                    ("m", 1, 1): 300,
                    ("m", 0, 0): 300,
                    ("f", selected, 1): 300,
                    ("f", 0, 0): 300,
                }
            )
        }
        return counts

    first = dt.date(2026, 9, 1)
    model = Model("m", label_horizon_days=30, fairness=SETTINGS)
    # Sixty days ago all was equal; in the last ten days no women are selected.
    cohorts = [cohort(day, members(1)) for day in days(first, 30)]
    cohorts += [cohort(day, members(0)) for day in days(dt.date(2026, 10, 20), 10)]
    now = dt.datetime(2026, 10, 31, tzinfo=dt.UTC)
    (found,) = only(results(model, cohorts, now)).fairness
    metrics = {it.metric: it for it in found.metrics}
    assert metrics["demographic_parity_ratio"].verdict == "outside limits"
    assert metrics["equalized_odds_difference"].verdict == "within limits"
    groups = {it.name: it for it in found.groups}
    assert groups["f"].rows == 6000
    assert groups["f"].selection is not None
    assert groups["f"].selection.value == 0
    assert groups["f"].labelled == 600 * 30
    assert groups["f"].true_positive is not None
    assert groups["f"].true_positive.value == 1
    for it in groups.values():
        assert it.positives + it.negatives == it.labelled
        assert min(it.positives, it.negatives) > 0


def test_an_attribute_that_is_not_logged_has_no_figures() -> None:
    assert of_attribute("race", Counts(), Counts(), "2026-11-01", SETTINGS) is None
