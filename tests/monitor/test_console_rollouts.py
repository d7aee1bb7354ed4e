"""The console's pages of rollouts, from what the real controller tells."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from model_console import charts, rollout_page
from model_console.charts import Closing
from rollout.protocol import ReadStatus
from rollout.status import OrderKind

from slipway.rollouts import show
from slipway.rollouts.live import State
from tests.monitor.test_console_faults import ROLLOUTS, Sources, client_of
from tests.support import shown_rollouts, web_pages
from tests.support.shown_rollouts import MODEL, PATH, SHOWN, Controller
from tests.support.web_pages import SVG, cells, table, words

LOOKED = 1000
INTERVALS = LOOKED // 30


@pytest.fixture
def controller() -> Iterator[Controller]:
    """It has given the canary 5 %, and has counted 33 intervals since."""
    with shown_rollouts.controller() as found:
        found.look(0)
        found.look(LOOKED)
        yield found


def answer(answers: dict[str, Any], path: str = PATH, **changes: Any) -> httpx.Response:
    monitor = {
        f"/api/v1/models/{MODEL}": {"model": MODEL, "results": None},
        "/api/v1/models/other": {"model": "other", "results": None},
        "/api/v2/alerts": [],
    }
    made = {"rollouts_url": ROLLOUTS} | changes
    found = client_of(Sources(monitor | answers), **made).get(path)
    assert web_pages.problems(found.text) == []
    return found


def page(answers: dict[str, Any], path: str = PATH, **changes: Any) -> Any:
    found = answer(answers, path, **changes)
    assert found.status_code == 200, found.text
    return web_pages.parsed(found.text)


def facts(found: Any) -> dict[str, str]:
    pairs = [it for one in found.iter("dl") for it in one]
    return {words(name): words(value) for name, value in pairs}


def test_a_rollout_has_its_stage_its_weights_and_its_gates(
    controller: Controller,
) -> None:
    found = page(controller.answers)
    assert facts(found) == {
        "Stable": "a",
        "Canary": "b",
        "Stage": "step 1 of 3",
        "At these weights since": "1970-01-01 00:00 UTC",
        "Ends at the latest": "1970-01-04 00:00 UTC",
        "Steps": "5 %, 25 %, 50 % (by a person)",
        "Looked at": facts(found)["Looked at"],
    }
    weights = cells(table(found, "Share of the requests"))[1:]
    assert weights == [["a", "95 %", "-"], ["b", "5 %", "-"]]
    gates = cells(table(found, "Every gate"))[1:]
    assert [row[:2] for row in gates] == [["errors", "○ hold"], ["slow", "○ hold"]]
    assert gates[0][2] == f"{INTERVALS} intervals of 100"
    assert f"in {INTERVALS} intervals" in gates[0][3]
    assert gates[0][4].endswith("tolerated 0.50 points")


def test_the_interval_of_a_gate_closes_in_on_its_bounds(controller: Controller) -> None:
    found = page(controller.answers)
    titles = {words(it[0]): it for it in found.iter(f"{SVG}svg")}
    chart = titles["errors: canary worse by, in percentage points"]
    kinds = [it.get("class", "") for it in chart.iter()]
    assert {"band", "line", "limit", "baseline"} <= set(kinds)
    rows = cells(table(found, "errors: how much worse"))[1:]
    assert [row[1] for row in rows] == [str(it) for it in range(INTERVALS, 0, -1)]
    assert rows[-1][3:] == ["not known", "not known"]
    widths = [float(row[4]) - float(row[3]) for row in rows[:-1]]
    assert widths[0] < widths[9] < widths[19] < widths[-1]
    # The newest look is what the gate has decided by.
    (errors, _) = controller.answers[PATH]["judgements"]
    assert rows[0][2:] == [
        f"{float(errors[name]) * 100:.2f}" for name in ("estimate", "lower", "upper")
    ]


def test_the_console_says_what_the_command_says(controller: Controller) -> None:
    controller.order(OrderKind.PAUSE, "lunch")
    seen, watched = controller.watched.seen, controller.watched
    controller.cluster.answer(ReadStatus())
    watched.status = controller.cluster.status
    assert seen
    look = controller.answers[PATH]
    state = State(seen.settings, watched.status, seen.route, look)
    said = words(page(controller.answers))
    lines = [it.strip() for it in show.lines(state)]
    assert "order under way: pause by ann" in lines
    parts = [it.partition("] ")[2] if it.startswith("[") else it for it in lines]
    for name in ("errors: ", "slow: ", "hold: "):
        parts = [it.removeprefix(name) for it in parts]
    assert len(parts) == 7
    for part in parts:
        assert part in said


def test_an_order_is_shown_under_way_and_in_force(controller: Controller) -> None:
    assert "Order" not in words(page(controller.answers))
    controller.order(OrderKind.PAUSE, "the holidays")
    controller.look(LOOKED + 15)
    found = words(page(controller.answers))
    assert "Order in force: pause by ann, 1970-01-01 00:16 UTC: the holidays" in found
    assert "No gate has been asked" in found
    controller.order(OrderKind.RESUME, "back again")
    controller.look(LOOKED + 30)
    assert "Order " not in words(page(controller.answers))


def test_decisions_are_shown_with_their_reasons(controller: Controller) -> None:
    controller.order(OrderKind.PROMOTE, "the customer waits", weight=40)
    controller.look(LOOKED + 15)
    rows = cells(table(page(controller.answers), "The newest decisions"))[1:]
    assert [row[2:] for row in rows] == [
        ["! order", "a -> b", "5 % to 40 %", "promote by ann: the customer waits"],
        ["✓ promote", "a -> b", "0 % to 5 %", "the first step"],
    ]
    assert [row[1] for row in rows] == ["1970-01-01 00:16 UTC", "1970-01-01 00:00 UTC"]


def test_what_ended_is_said_and_not_followed(controller: Controller) -> None:
    assert "content=" in answer(controller.answers, f"{PATH}?renew=1").text
    controller.order(OrderKind.BACK, "it is slow")
    controller.look(LOOKED + 15)
    text = answer(controller.answers, f"{PATH}?renew=1").text
    assert "taken back" in text
    assert "http-equiv" not in text
    assert "Follow it" not in text
    assert "Stage" not in facts(web_pages.parsed(text))


def test_a_reader_chooses_whether_the_page_renews_itself(
    controller: Controller,
) -> None:
    """WCAG 2.2, 2.2.1: nothing is loaded anew that nobody asked for."""

    def renewals(found: Any) -> list[str | None]:
        kinds = [it for it in found.iter("meta") if it.get("http-equiv") == "refresh"]
        return [it.get("content") for it in kinds]

    still, live = (page(controller.answers, it) for it in (PATH, f"{PATH}?renew=1"))
    assert (renewals(still), renewals(live)) == ([], ["15"])
    links = {words(it): it.get("href") for it in still.iter("a")}
    (follow,) = [name for name in links if name.startswith("Follow it")]
    assert links[follow] == f"{PATH}?renew=1"
    assert {words(it): it.get("href") for it in live.iter("a")}["Stop that"] == PATH


def test_a_controller_whose_looks_fail_says_of_when_all_is(
    controller: Controller,
) -> None:
    assert "look failed" not in words(page(controller.answers))
    controller.served.objects.clear()
    controller.look(LOOKED + 15)
    found = words(page(controller.answers))
    assert "newest look failed. What is shown is of 20" in found
    assert "95 %" in found


def test_settings_that_cannot_be_read_are_a_reason_and_no_page_of_nothing() -> None:
    with shown_rollouts.controller() as found:
        assert "has not looked yet" in words(page(found.answers))
        for it in found.served.objects.values():
            it.pop("data", None)
        found.look(0)
        said = words(page(found.answers))
    assert "✕ stop" in said
    assert "apply the stack again" in said


def test_all_rollouts_are_listed_and_a_model_names_its_own(
    controller: Controller,
) -> None:
    answers = controller.answers
    (row,) = cells(table(page(answers, "/rollouts"), "All rollouts"))[1:]
    assert row[:2] == ["m", "○ running ○ hold"]
    assert row[2].startswith("m: a -> b, 5 % of the requests, step 1 of 3 since 1970")
    own = page(answers, f"/models/{MODEL}")
    links = {it.get("href"): words(it) for it in own.iter("a")}
    assert links[PATH] == row[2]
    assert PATH not in answer(answers, "/models/other").text
    assert words(page({"/rollouts": {"rollouts": []}}, "/rollouts")).count("no rollout")


def test_without_a_controller_nothing_is_asked_and_nothing_is_shown() -> None:
    found = answer({}, "/", rollouts_url="", monitor_url="http://gone")
    assert 'href="/rollouts"' not in found.text
    assert (
        "No rollout controller was given"
        in answer({}, "/rollouts", rollouts_url="").text
    )
    assert answer({}, PATH, rollouts_url="").status_code == 404
    assert "Rollout" not in words(page({}, f"/models/{MODEL}", rollouts_url=""))


def test_a_rollout_that_is_not_there_is_not_found() -> None:
    sources = Sources({}, {"rollouts": lambda _: httpx.Response(404)})
    found = client_of(sources, rollouts_url=ROLLOUTS).get(
        "/rollouts/x%22%3E%3Cscript%3E"
    )
    assert found.status_code == 404
    assert web_pages.problems(found.text) == []
    assert "There is no rollout of" in found.text


def test_a_page_is_of_a_bounded_size_whatever_is_told(controller: Controller) -> None:
    answers = copy.deepcopy(controller.answers)
    told = answers[PATH]["rollout"]
    told["gates"][0]["points"] *= 50
    told["gates"] = [told["gates"][0]] * 200
    told["decisions"] *= 5000
    told["notes"] = ["n" * 100_000] * 100
    told["weights"] = {f"r{number}": 1 for number in range(5000)}
    answers["/rollouts"]["rollouts"] *= 5000
    found = answer(answers, answer_mib=64)
    parsed = web_pages.parsed(found.text)
    assert len(list(parsed.iter(f"{SVG}svg"))) == rollout_page.MOST_GATES
    assert len(cells(table(parsed, "The newest decisions"))) - 1 == (
        rollout_page.MOST_DECISIONS
    )
    assert len(found.text) < 4 << 20
    listed = answer(answers, "/rollouts", answer_mib=64)
    assert "4500 more are not shown." in listed.text


def test_early_intervals_leave_room_for_the_last_ones() -> None:
    wide = [Closing("1", 0.1, None, None), Closing("2", 0.2, -900.0, 900.0)]
    looks = [*wide, Closing("3", 0.1, -0.2, 0.4)]
    chart = charts.closing("k", "t", looks, margin=0.5, words="w")
    parsed = web_pages.ET.fromstring(chart)
    (whisker,) = [it for it in parsed.iter() if it.get("class") == "whisker"]
    height = float(whisker.get("y1", "")) - float(whisker.get("y2", ""))
    # 0.6 of the 4 points between -2 and 2, four times what is tolerated each way.
    assert height == pytest.approx(0.6 / (4 * 1.16) * (166 - 12), abs=0.1)
    assert "Newest 0.1, interval -0.2 to 0.4. Tolerated 0.5." in words(parsed)
    one = charts.closing("k", "t", wide[:1], margin=None, words="w")
    assert "interval not known" in one
    assert SHOWN.gates[0].tolerate == 0.005
