"""The simulated days of `make demo-drift`: requests, labels, stages."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from examples.demo_drift import timeline as days
from examples.demo_drift.census import Rows
from examples.demo_drift.timeline import Label, Timeline

ONE_DAY = dt.timedelta(days=1)
AGE = 0


def made_up(seed: int, count: int = 610) -> Rows:
    chance = np.random.default_rng(seed)
    features = chance.integers(0, 99, (count, 3)).astype(np.float32)
    return Rows(features, chance.integers(0, 2, count))


@pytest.fixture(scope="module")
def years() -> list[Rows]:
    return [made_up(seed) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def made(years: list[Rows]) -> Timeline:
    return days.timeline(years, AGE, batch_rows=8, run="run")


@pytest.fixture(scope="module")
def labels(made: Timeline) -> list[Label]:
    return [
        label
        for date, batches in made.batches.items()
        for label in days.labels_of(batches, date)
    ]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_year_is_asked_for_once_on_thirty_days(
    made: Timeline, years: list[Rows], index: int
) -> None:
    dates = [days.day(days.start_of(index) + place) for place in range(30)]
    asked = np.concatenate([b.rows.features for d in dates for b in made.batches[d]])
    assert asked.tolist() == years[index].features.tolist()
    assert dates[-1] + ONE_DAY not in made.batches


def test_requests_have_ids_of_their_own_and_at_most_the_rows_asked_for(
    made: Timeline,
) -> None:
    batches = [it for day in made.batches.values() for it in day]
    assert len({it.request_id for it in batches}) == len(batches)
    assert max(len(it.rows) for it in batches) == 8
    assert made.rows == sum(len(it.rows) for it in batches)
    for date, day in made.batches.items():
        assert {it.time.date() for it in day} == {date}


def test_the_fault_is_in_one_feature_on_ten_days(
    made: Timeline, years: list[Rows]
) -> None:
    for place in range(15):
        source = made.batches[days.day(days.start_of(2) + place)]
        again = made.batches[days.day(days.FAULT_START + place)]
        wanted = np.concatenate([it.rows.features for it in source])
        if place < days.FAULT_DAYS:
            wanted[:, AGE] *= 12
        assert np.concatenate([it.rows.features for it in again]).tolist() == (
            wanted.tolist()
        )
        assert [it.rows.labels.tolist() for it in again] == (
            [it.rows.labels.tolist() for it in source]
        )


def test_stages_follow_each_other_and_end_where_windows_are_whole_years() -> None:
    stages = days.stages()
    for before, after in pairwise(stages):
        assert after.first == before.last + ONE_DAY
    ends = {it.name: it.last for it in stages}
    for index, (served, judged) in enumerate(
        [
            ("served 2016", "judged 2016"),
            ("judged 2016", "judged 2017"),
            ("judged 2017", "judged 2018"),
        ]
    ):
        year = {days.day(days.start_of(index) + place) for place in range(30)}
        # As the monitor counts: selection rates of the last 30 days and today, quality
        # of 30 days before the first that is not due.
        recent = {ends[served] - place * ONE_DAY for place in range(31)}
        due = ends[judged] - days.LABEL_DAYS * ONE_DAY
        window = {due - place * ONE_DAY for place in range(1, 31)}
        busy = {days.day(n) for n in range(1, 200) if (n - 1) % 31 < 30}
        assert recent & busy == year
        assert window == year


def test_the_label_that_is_known_last_is_the_right_one(
    made: Timeline, labels: list[Label]
) -> None:
    right = {
        (batch.request_id, row): label
        for batches in made.batches.values()
        for batch in batches
        for row, label in enumerate(batch.rows.labels.tolist())
    }
    by_row: dict[tuple[str, int], list[Label]] = defaultdict(list)
    for it in labels:
        by_row[it.request_id, it.row].append(it)
    assert by_row.keys() == right.keys()
    for key, found in by_row.items():
        last = max(it.known for it in found)
        assert {it.label for it in found if it.known == last} == {right[key]}


def test_labels_are_late_doubled_corrected_and_in_no_order(labels: list[Label]) -> None:
    late = Counter((it.known.date() - it.predicted.date()).days for it in labels)
    assert late.keys() == {29, 30}
    seen = Counter((it.request_id, it.row) for it in labels)
    doubled = sum(n > 1 for n in seen.values()) / len(seen)
    assert 0.015 < doubled < 0.06
    order = [(it.request_id, it.row) for it in labels[:400]]
    assert order != sorted(order)
    after = [it for it in labels if it.arrives > it.known.date()]
    assert after, "some wrong ones arrive after the right ones"
    assert all(it.arrives - it.known.date() == ONE_DAY for it in after)


def test_all_labels_of_a_day_are_there_when_it_is_due(labels: list[Label]) -> None:
    for it in labels:
        is_right_one = it.arrives == it.known.date()
        due = it.predicted.date() + (days.LABEL_DAYS + 1) * ONE_DAY
        assert it.arrives < due or not is_right_one


def test_two_timelines_are_the_same(made: Timeline, years: list[Rows]) -> None:
    again = days.timeline(years, AGE, batch_rows=8, run="run")
    date = days.day(5)
    assert days.labels_of(again.batches[date], date) == (
        days.labels_of(made.batches[date], date)
    )
