"""How old a step can be before Prometheus has forgotten too much of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rollout.counts import Interval, Series, Tally
from rollout.facts import MOST_MISSING, Facts

from components.delivery.settings import RolloutSettings
from components.observability.settings import PrometheusSettings
from tests.support.rollouts import SETTINGS
from toolchain import paths

HOUR = 3600
RETENTION = PrometheusSettings.model_fields["retention_hours"].default
PAGE = paths.ROOT / "docs/how-to/rollouts.md"
TOLD = round(RETENTION / (1 - MOST_MISSING))
"""Hours after which the page says that no step is promoted."""


def missing(hours: int) -> str:
    """What is missing of a step of this age when all that is kept can be read."""
    settings = replace(SETTINGS, interval_seconds=60)
    now, kept, some = hours * HOUR, RETENTION * HOUR, Tally(10, 0)
    intervals = (Interval(at, some, some) for at in range(max(0, now - kept), now, 60))
    facts = Facts(
        now=now, begun=0, started=0, step=0, weight=5, ready=None, counts=None
    )
    return facts.missing(Series(tuple(intervals)), settings)


def test_a_step_that_is_too_old_is_never_promoted() -> None:
    assert missing(TOLD - 1) == ""
    assert missing(TOLD + 1).endswith("intervals are missing")


@pytest.mark.parametrize(
    "said",
    [
        f"{1 / (1 - MOST_MISSING):.2f} times",
        f"(`retention_hours` / {1 - MOST_MISSING:g})",
        f"{RETENTION} hours that is after {TOLD} hours",
        f"{RolloutSettings.model_fields['deadline_hours'].default}, the default",
    ],
)
def test_the_page_says_how_old(said: str) -> None:
    assert said in " ".join(PAGE.read_text().split())
