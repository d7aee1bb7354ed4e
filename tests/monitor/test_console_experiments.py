"""The console's page of an experiment, from the real monitor's report."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx
import pytest
from model_console import experiment_page
from model_monitor.experiments.counting import count
from model_monitor.experiments.plan import Kind, Metric, Plan
from model_monitor.experiments.report import report
from model_monitor.store import Store
from rollout import experiment
from rollout.experiment import KEY
from rollout.objects import SETTINGS_KEY
from rollout.settings import Step

from slipway.experiments import show
from slipway.experiments.live import Found
from slipway.rollouts.live import State
from tests.monitor.test_console_faults import (
    FAULTS,
    MARKUP,
    ROLLOUTS,
    Sources,
    client_of,
    planted,
)
from tests.monitor.test_experiment_report import ACCURACY, PLAN, put
from tests.monitor.test_experiment_stored import EXPERIMENT
from tests.support import shown_rollouts, web_pages
from tests.support.rollout_api import NAMES
from tests.support.shown_rollouts import PATH, SHOWN
from tests.support.web_pages import SVG, cells, table, words

REPORTED = f"/api/v1/experiments/{NAMES.server}"
WANTED: Plan = replace(
    PLAN,
    metrics=(ACCURACY, Metric(Kind.POSITIVE_RATE, "higher", positive="1")),
    planned_units=900,
)
AS_ROLLOUT = replace(
    SHOWN,
    steps=(Step(50), Step(99, approval=True)),
    deadline_hours=14 * 24.0,
    interval_seconds=150,
)


@dataclass
class Shown:
    """What controller and monitor answer, and what the command prints of the same."""

    answers: dict[str, Any]
    lines: list[str]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A treatment that is better, served for five days."""
    plan = EXPERIMENT["plan"]
    assert isinstance(plan, dict)
    plain = json.loads(json.dumps(plan | {"metrics": asdict(WANTED)["metrics"]}))
    with (
        Store(tmp_path_factory.mktemp("experiment") / "store").opened() as store,
        shown_rollouts.controller(AS_ROLLOUT) as controller,
    ):
        put(store, gain=0.1)
        found = report(WANTED, count(store, WANTED))
        data = controller.served.objects[NAMES.settings]["data"]
        data |= {KEY: json.dumps(plain)}
        assert SETTINGS_KEY in data
        controller.look(PLAN.started - 60)
        watched = controller.watched
        assert watched.seen
        assert watched.status
        answers = controller.answers | {
            REPORTED: {"computed": PLAN.now, "report": found, "reason": ""},
            "/api/v1/models/loans": {"model": "loans", "results": None},
            "/api/v2/alerts": [],
        }
        told = answers[PATH]["rollout"]["experiment"]
        assert told["started"] == PLAN.started
        state = State(watched.seen.settings, watched.status, watched.seen.route, None)
        lines = [*show.lines(_found(told, plain, state), found, "")]
        yield Shown(json.loads(json.dumps(answers)), lines, found)


def _found(told: dict[str, Any], plan: dict[str, Any], state: State) -> Found:
    """As the command reads it, which asks the ledger for the same decisions."""
    assert state.status
    made = experiment.of(
        plan,
        state.status.recent[::-1],
        settings=state.settings,
        status=state.status,
        route=state.route,
        now=PLAN.now,
    )
    assert made.headline(state.settings.server) == told["headline"]
    return Found(made, state, PLAN.now)


@pytest.fixture
def shown(real: Shown) -> Shown:
    return copy.deepcopy(real)


def answer(shown: Shown, answer_mib: int = 16, **handlers: Any) -> httpx.Response:
    sources = Sources(shown.answers, handlers)
    found = client_of(sources, rollouts_url=ROLLOUTS, answer_mib=answer_mib).get(PATH)
    assert web_pages.problems(found.text) == []
    assert found.status_code == 200
    return found


def page(shown: Shown) -> Any:
    return web_pages.parsed(answer(shown).text)


def facts(found: Any) -> dict[str, str]:
    pairs = [it for one in found.iter("dl") for it in one]
    return {words(name): words(value) for name, value in pairs}


def test_the_page_says_what_the_command_says(shown: Shown) -> None:
    headline, verdict, head, *rows, units, needed = shown.lines
    text = words(page(shown))
    assert headline in text
    assert verdict.strip() == f"the treatment is better: {shown.report['reason']}"
    for part in verdict.strip().split(": ", 1):
        assert part in text
    assert "* decides; from and to hold at all looks together" in text
    metrics = cells(table(page(shown), "Metrics at the newest look"))
    assert [it.lower() for it in metrics[0]] == [
        it.strip() for it in head.split("  ") if it.strip()
    ]
    printed = [[it.strip() for it in row.split("  ") if it.strip()] for row in rows[:2]]
    assert metrics[1:] == printed
    of_units = facts(page(shown))
    name, _, counted = units.strip().partition(": ")
    arms, _, ratio = counted.partition("; ")
    assert (of_units[name], of_units["Sample ratio"]) == (arms, ratio)
    assert of_units["Units needed"] == needed.strip().removeprefix("units needed: ")
    assert of_units["Counted"] == "2026-11-07 07:30 UTC"


def test_every_look_is_drawn_with_its_interval(shown: Shown) -> None:
    found = page(shown)
    looks = shown.report["metrics"][0]["looks"]
    rows = cells(table(found, "accuracy: treatment less control"))[1:]
    assert [row[0] for row in rows] == [str(it) for it in range(len(looks), 0, -1)]
    for row, look in zip(rows, looks[::-1], strict=True):
        assert row[3:6] == [f"{look[it]:+.4f}" for it in ("difference", "low", "high")]
    assert [row[6] for row in rows] == ["yes", *["no"] * (len(looks) - 1)]
    charts = {words(it[0]): it for it in found.iter(f"{SVG}svg")}
    chart = charts["accuracy: treatment less control"]
    kinds = {it.get("class") for it in chart.iter()}
    assert {"band", "line", "limit", "baseline", "whisker"} <= kinds
    assert f"Smallest effect that matters {PLAN.smallest}." in words(chart)
    # The others were planned with no smallest effect.
    other = charts["positive_rate of 1: treatment less control"]
    assert "limit" not in {it.get("class") for it in other.iter()}


def test_arms_that_are_not_as_designed_are_said(shown: Shown) -> None:
    told = shown.answers[REPORTED]["report"]
    told |= {"verdict": "doubtful", "units_in_both": 7, "predictions_without_unit": 9}
    told["sample_ratio"]["alarm"] = True
    found = page(shown)
    assert "! doubtful" in words(found)
    assert "✕ not as designed" in facts(found)["Sample ratio"]
    assert facts(found)["Left out"] == (
        f"7 callers seen in both arms, 9 of {told['predictions']} predictions without "
        "the header"
    )


def test_why_there_is_no_report_or_no_newer_one(shown: Shown) -> None:
    told = shown.answers[PATH]["rollout"]["experiment"]
    shown.answers[REPORTED] |= {"reason": "the store is being moved"}
    text = words(page(shown))
    assert "No newer report: the store is being moved" in text
    assert "the treatment is better" in text
    shown.answers[REPORTED] |= {"report": None}
    assert "No report: the store is being moved" in words(page(shown))
    told["uncounted"] = "b has not got its share of the requests yet"
    assert f"No report: {told['uncounted']}" in words(page(shown))
    shown.answers[REPORTED] |= {"reason": ""}
    told["uncounted"] = ""
    assert "No report" not in words(page(shown))


def test_a_monitor_that_reports_no_experiments_is_no_fault(shown: Shown) -> None:
    text = words(
        web_pages.parsed(answer(shown, monitor=lambda _: httpx.Response(404)).text)
    )
    assert "The monitor reports no experiment of this server." in text
    assert "step 1 of 2" in text


@pytest.mark.parametrize("fault", FAULTS)
def test_a_monitor_that_fails_is_a_notice_beside_the_rollout(
    shown: Shown, fault: str
) -> None:
    handler, reason = FAULTS[fault]
    found = answer(shown, answer_mib=1, monitor=handler)
    text = words(web_pages.parsed(found.text))
    assert f"The model monitor {reason}" in text
    assert "step 1 of 2" in text
    assert "against a (control)" in text


def test_no_text_of_a_report_becomes_markup(shown: Shown) -> None:
    shown.answers = {path: planted(it) for path, it in shown.answers.items()}
    text = answer(shown).text
    assert "form that this console does not know" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert MARKUP not in text


SPOIL: dict[str, Callable[[dict[str, Any]], None]] = {
    "no metrics": lambda it: it.update(metrics=[]),
    "no looks": lambda it: it["metrics"][0].update(looks=[]),
    "unknown figures": lambda it: it["metrics"][0]["looks"][-1].update(
        difference=None, low=None, high=None, variance_saved=None
    ),
    "huge figures": lambda it: it["metrics"][0]["looks"][0].update(
        difference=1e99, low=-1e99, high=1e99
    ),
    "another verdict": lambda it: it.update(verdict="x" * 10_000),
    "nothing counted": lambda it: it["sample_ratio"].update(found=None),
}


@pytest.mark.parametrize("name", SPOIL)
def test_odd_reports_have_a_page(shown: Shown, name: str) -> None:
    SPOIL[name](shown.answers[REPORTED]["report"])
    text = answer(shown).text
    assert "form that this console does not know" not in text
    assert len(text) < 100_000


def test_a_page_is_of_a_bounded_size_whatever_is_reported(shown: Shown) -> None:
    told = shown.answers[REPORTED]["report"]
    told["metrics"][0]["looks"] *= 100
    told["metrics"] = [told["metrics"][0]] * 40
    found = page(shown)
    rows = cells(table(found, "Metrics at the newest look"))
    assert len(rows) - 1 == experiment_page.MOST_METRICS
    looks = [it for it in found.iter("table") if "treatment less" in words(it[0])]
    assert len(cells(looks[0])) - 1 == experiment_page.MOST_LOOKS


def test_a_rollout_without_an_experiment_asks_for_none(shown: Shown) -> None:
    asked = []

    def monitor(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(404)

    shown.answers[PATH]["rollout"]["experiment"] = None
    assert "Experiment" not in answer(shown, monitor=monitor).text
    del shown.answers[PATH]["rollout"]["experiment"]  # an older controller
    assert "Experiment" not in answer(shown, monitor=monitor).text
    assert asked == []
