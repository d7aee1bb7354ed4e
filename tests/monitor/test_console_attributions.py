"""The page of a model shows what predictions depend on, where a job has found it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from model_monitor.figures import results

from tests.monitor.test_console_faults import Sources, client_of
from tests.support import web_pages
from tests.support.web_pages import cells, table, words

NAME = '<b>"age"</b>'
ATTRIBUTIONS = results.Attributions(
    day="2026-11-28",
    rows=1000,
    outcome="score",
    filled=("income",),
    features=(
        results.Attribution(
            NAME,
            results.Figure(0.25, 0.2, 0.3),
            share=0.75,
            reference=results.Figure(0.1, 0.05, 0.15),
            loss=results.Figure(0.5, 0.4, 0.6),
        ),
        results.Attribution("region", results.Figure(0.05, 0.0, 0.1), 0.25, None, None),
    ),
    reference_days=("2026-11-20", "2026-11-21"),
    days=("2026-11-27", "2026-11-28"),
    ndcg=0.875,
    rank_correlation=-1.0,
    p=0.004,
    detected=True,
    persistent=True,
)


def page(attributions: dict[str, Any] | None, missing: int | None) -> str:
    """The page of a model with one revision, by what the monitor tells of it."""
    revision = {
        "revision": "r1",
        "is_approved": True,
        "newest": "2026-11-29T12:00:00Z",
        "arms": {"stable": 1},
        "windows": {},
        "drift": None,
        "concept": None,
        "fairness": [],
        "history": [],
        "attributions": attributions,
        "days_without_attributions": missing,
    }
    found = {
        "model": "m",
        "task": "binary",
        "now": "2026-11-29T12:00:00Z",
        "newest": "2026-11-29T12:00:00Z",
        "review_by": None,
        "review_is_overdue": False,
        "problems": [],
        "reference_is_missing": False,
        "revisions": [revision],
    }
    answers = {
        "/api/v1/models/m": {"model": "m", "results": found},
        "/api/v2/alerts": [],
    }
    response = client_of(Sources(answers)).get("/models/m")
    assert response.status_code == 200, response.text
    assert web_pages.problems(response.text) == []
    return response.text


def test_every_feature_with_its_first_days_and_its_loss() -> None:
    text = page(asdict(ATTRIBUTIONS), 0)
    found = web_pages.parsed(text)
    assert cells(table(found, "Every feature, the most important first"))[1:] == [
        [
            NAME,
            "0.2500 (0.2000 to 0.3000)",
            "75.0%",
            "0.1000 (0.0500 to 0.1500)",
            "0.5000 (0.4000 to 0.6000)",
        ],
        ["region", "0.0500 (0.0000 to 0.1000)", "25.0%", "-", "-"],
    ]
    said = words(found)
    assert "sample of 1,000 predictions of 2026-11-28" in said
    assert "first 2 days of the revision: NDCG 0.8750, p 0.0040" in said
    assert "not attributed: income" in said
    assert "have no attributions" not in said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "the order has changed"),
        ({"persistent": False}, "another order on this day alone"),
        ({"persistent": False, "detected": False}, "the order of the first days"),
        ({"reference_days": [], "ndcg": None, "p": None}, "too few days to compare"),
    ],
)
def test_what_it_says_of_the_order(changes: dict[str, Any], expected: str) -> None:
    found = words(web_pages.parsed(page(asdict(ATTRIBUTIONS) | changes, None)))
    assert expected in found
    assert ("NDCG" in found) == ("ndcg" not in changes)


def test_days_that_no_job_has_attributed() -> None:
    found = words(web_pages.parsed(page(None, 3)))
    assert "attributed no day yet" in found
    assert "3 of the last 7 days with enough rows have no attributions" in found


def test_without_a_job_there_is_no_word_of_it() -> None:
    assert "depend on" not in page(None, None)
