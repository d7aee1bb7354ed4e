"""Waits between attempts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from log_shipper.backoff import Backoff, retry_after


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_waits_double_up_to_the_limit(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low + share * (high - low))
    backoff = Backoff(1, 60)
    most = [1, 2, 4, 8, 16, 32, 60, 60]
    assert [backoff.after_failure() for _ in most] == [
        wait * (0.5 + share / 2) for wait in most
    ]
    backoff.after_success()
    assert backoff.after_failure() == 0.5 + share / 2


def test_waits_are_spread() -> None:
    waits = [Backoff(1, 60).after_failure() for _ in range(200)]
    assert min(waits) < 0.6
    assert max(waits) > 0.9


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (5, 5, 5.5),
        (0, 0.5, 1),
        (-3, 0.5, 1),
        (1e9, 3600, 3960),
        (float("inf"), 3600, 3960),
    ],
)
def test_the_sink_may_ask_for_more(asked: float, least: float, most: float) -> None:
    for _ in range(20):
        assert least <= Backoff(1, 60).after_failure(asked) <= most


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after("120") == 120
    assert retry_after(" 0 ") == 0
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert retry_after(date) == pytest.approx(100, abs=3)
    assert retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0  # RFC 9110's example
    for text in (None, "", "soon", "-5", "1.5"):
        assert retry_after(text) is None
