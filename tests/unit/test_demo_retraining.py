"""The demo's judgement of requests to retrain."""

from __future__ import annotations

import datetime as dt

from examples.demo_drift.retraining import LOGGER, MESSAGE, Requested, wrong

FROM = dt.date(2019, 5, 4)
LINE = {
    "level": "warning",
    "logger": LOGGER,
    "message": MESSAGE,
    "request": "employment-sha256%3A7efb-2019-05-05",
    "causes": ["quality accuracy", "concept"],
}


def test_a_line_of_the_monitors_log_is_read() -> None:
    found = Requested.of_line(LINE)
    assert found == Requested(dt.date(2019, 5, 5), ("quality accuracy", "concept"))
    assert Requested.of_line({**LINE, "message": "the cycle failed"}) is None
    assert Requested.of_line({**LINE, "logger": "model_monitor.worker"}) is None


def test_one_after_the_fault_is_right() -> None:
    assert wrong([Requested(FROM, ("concept",))], FROM) == []


def test_none_and_one_too_early_are_reported() -> None:
    early = Requested(FROM - dt.timedelta(days=1), ("quality f1",))
    assert wrong([], FROM) == ["no retraining was requested from 2019-05-04 on"]
    assert len(wrong([early], FROM)) == 2
    (told,) = wrong([early, Requested(FROM, ("concept",))], FROM)
    assert told == (
        "2019-05-03: retraining requested for quality f1, though quality was as usual"
    )
