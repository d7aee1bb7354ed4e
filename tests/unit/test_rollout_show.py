"""How `slipway rollout` draws what it knows."""

from __future__ import annotations

import pytest

from slipway.rollouts import show


@pytest.mark.parametrize(
    ("interval", "drawn"),
    [
        ((-0.01, 0.0, 0.01), "[{:=<20}o{:=>20}]".format("", "")),
        ((float("-inf"), 0.0025, float("inf")), "o"),
        ((0.02, 0.03, 0.04), "o]"),
    ],
)
def test_an_interval_is_drawn_within_twice_the_tolerance(
    interval: tuple[float, float, float], drawn: str
) -> None:
    found = show.bar(*interval, tolerate=0.005)
    assert len(found) == show.BAR + 2
    if drawn.startswith("["):
        drawn = drawn[:31] + "T" + drawn[32:]
    assert drawn in found
