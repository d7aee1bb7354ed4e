"""Schedules: those that Kubernetes' cron takes, and those that it does not."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from components.training.schedule import Schedule

TAKEN = TypeAdapter[str](Schedule)


@pytest.mark.parametrize(
    "text",
    [
        "15 2 * * *",
        "*/5 0-23/2 ? * MON-Fri",
        "0,30 0,12 1-31 jan,JUL-dec sun",
        "5/10 23 31 12 6",
    ],
)
def test_what_cron_has_is_taken(text: str) -> None:
    assert TAKEN.validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * mon *",
        "* * * * 7",
        "* * * * 1#2",
        "30-10 * * * *",
        "*/0 * * * *",
        "1, * * * *",
        "1-2-3 * * * *",
        "* * 15W * *",
        "٣ * * * *",
        "@daily",
        "* * * *",
        "*  * * * *",
        "* * * * *\n",
    ],
)
def test_what_cron_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="not a cron schedule"):
        TAKEN.validate_python(text)
