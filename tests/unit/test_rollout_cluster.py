"""What the rollout's program sends to the API server and Prometheus, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest
from rollout import __main__ as program
from rollout import prometheus
from rollout.actions import WriteEntry, WriteRoute, WriteStatus
from rollout.cluster import Cluster
from rollout.counts import Tally
from rollout.metrics import MetricsCollector
from rollout.objects import (
    FENCE,
    PARTS,
    PLACES_KEY,
    RULES_KEY,
    SETTINGS_KEY,
    STATUS_KEY,
)
from rollout.protocol import ReadRoute, ReadSettings, ReadStatus, give, tick
from rollout.settings import (
    MOST_INTERVALS,
    Counters,
    Gate,
    Settings,
    SettingsError,
    read,
)
from rollout.status import OrderKind, Status
from rollout.verdict import Verdict
from rollout.watched import Watched

from components.delivery import rollout_file
from pod_parts.api_client import Api
from slipway.engine import live_weights
from tests.support.prometheus_text import samples
from tests.support.rollout_api import NAMES, PLACES, Served, objects, serve
from tests.support.rollouts import SETTINGS

WIRED = replace(
    SETTINGS,
    total=Counters("all_b", "all_a"),
    gates=(Gate("errors", 0.005, counters=Counters("bad_b", "bad_a")),),
)
NONE: list[dict[int, float]] = []


def steady(per_interval: float, rows: int = 40) -> list[dict[int, float]]:
    return [{30 * row: per_interval * row for row in range(rows)}]


@pytest.fixture
def served() -> Served:
    counters = {"all_b": steady(1000), "all_a": steady(9000), "bad_b": NONE}
    return Served(objects(WIRED), counters | {"bad_a": steady(18)})


@pytest.fixture
def api(served: Served) -> Iterator[Api]:
    with serve(served) as found:
        yield found


def cluster(api: Api, now: int = 0) -> Cluster:
    return Cluster(api, api, NAMES, clock=lambda: now)


def counts(api: Api, now: int = 100, gate: Gate = WIRED.gates[0]) -> list[tuple]:
    settings = replace(WIRED, gates=(gate,))
    found = prometheus.read_counts(api, settings, 0, now)[gate.name].intervals
    return [(it.start, it.canary, it.stable) for it in found]


def test_counts_are_whole_intervals_of_both_revisions(api: Api) -> None:
    row = (Tally(1000, 0), Tally(9000, 18))
    assert counts(api, now=119) == [(0, *row), (30, *row), (60, *row)]
    assert counts(api, now=20) == []


def test_a_counter_that_began_anew_and_one_that_is_new(
    served: Served, api: Api
) -> None:
    served.counters["all_b"] = [{0: 500, 30: 900, 60: 40, 90: 50}, {60: 7, 90: 8}]
    found = [canary.total for _, canary, _ in counts(api)]
    assert found == [400, 40 + 7, 10 + 1]


def test_the_first_errors_count_but_not_what_was_before_a_gap(
    served: Served, api: Api
) -> None:
    served.counters["bad_b"] = [{60: 3, 90: 5}]
    assert [canary.bad for _, canary, _ in counts(api)] == [0, 3, 2]
    served.counters = {
        name: [{at: value for at, value in one.items() if at > 30} for one in series]
        for name, series in served.counters.items()
    }
    assert [start for start, *_ in counts(api)] == [60]


def test_a_gap_where_the_step_begins_is_no_new_counter(
    served: Served, api: Api
) -> None:
    """Of two replicas one misses a scrape; it has counted for long before."""
    served.counters["all_b"] += [{-60: 70_000, -30: 70_500, 30: 71_000, 60: 71_500}]
    served.counters["bad_b"] = [{-30: 400, 30: 401, 60: 403}]
    found = [(canary.total, canary.bad) for _, canary, _ in counts(api)]
    assert found == [(1000, 0), (1500, 2), (1000, 0)]


def test_an_interval_without_a_scrape_is_missing(served: Served, api: Api) -> None:
    served.counters["all_b"] = [{0: 0, 30: 1000, 90: 3000, 120: 4000}]
    assert [start for start, *_ in counts(api, now=130)] == [0, 90]


def test_before_the_first_request_an_interval_is_empty_if_it_was_scraped(
    served: Served, api: Api
) -> None:
    """Gateways make a counter of answers at the first one: that is no missing scrape.

    Where there were requests and no counter of their answers, it stays missing.
    """
    served.counters |= {
        "all_b": [{90: 7, 120: 9}],
        "all_a": [{60: 50, 90: 70, 120: 90}],
        "done_b": [{0: 0, 30: 0, 60: 0, 90: 7, 120: 9}],
        "done_a": [{0: 0, 30: 30, 60: 50, 90: 70, 120: 90}],
    }
    late = replace(WIRED, completed=Counters("done_b", "done_a"))

    def starts(settings: Settings) -> list[tuple[int, int, int]]:
        found = prometheus.read_counts(api, settings, 0, 130)["errors"].intervals
        return [(it.start, it.canary.total, it.stable.total) for it in found]

    assert starts(WIRED) == [(60, 7, 20), (90, 2, 20)]
    # Stable had 30 requests in the first interval, and no counter of their answers.
    assert starts(late) == [(30, 0, 50), (60, 7, 20), (90, 2, 20)]
    served.counters["done_a"] = [{0: 0, 30: 0, 60: 50, 90: 70, 120: 90}]
    assert starts(late)[0] == (0, 0, 0)
    # A gateway that nobody scraped until then.
    served.counters |= {"done_b": [{60: 0, 90: 7}], "done_a": [{60: 50, 90: 70}]}
    assert starts(late)[0][0] == 60


def test_rollouts_that_run_go_on_when_they_get_that_counter() -> None:
    late = replace(WIRED, completed=Counters("done_b", "done_a"))
    assert late.generation == WIRED.generation
    assert read(late.plain()) == late
    assert "completed" not in WIRED.plain()


def test_a_bucket_of_a_histogram_counts_the_good_ones(served: Served, api: Api) -> None:
    served.counters |= {"quick_b": steady(990), "quick_a": steady(9001)}
    slow = Gate("slow", 0.01, counters=Counters("quick_b", "quick_a"), of_good=True)
    assert counts(api, gate=slow)[0] == (0, Tally(1000, 10), Tally(9000, 0))


def test_without_the_counter_of_the_good_ones_an_interval_is_missing(
    served: Served, api: Api
) -> None:
    """As 0 good answers, both revisions were equally bad, which would promote."""
    slow = Gate("slow", 0.01, counters=Counters("quick_b", "quick_a"), of_good=True)
    served.counters |= {"quick_b": NONE, "quick_a": NONE}
    assert counts(api, gate=slow) == []
    served.counters |= {"quick_b": [{30: 1990, 60: 2980}], "quick_a": steady(9000)}
    assert [start for start, *_ in counts(api, gate=slow)] == [0, 30]
    # Without requests there are no good ones.
    served.counters |= {"all_b": steady(0), "quick_b": NONE}
    assert counts(api, gate=slow)[0] == (0, Tally(0, 0), Tally(9000, 0))


def test_a_tick_writes_intent_route_entry_and_that_it_is_done(
    served: Served, api: Api
) -> None:
    wait = cluster(api).run(tick())
    assert wait
    assert wait.outcome.verdict is Verdict.HOLD
    assert served.weights() == [95, 5]
    writes = [it for it in served.calls if not it.startswith("GET")]
    put_status, put_route = f"PUT {NAMES.status}", f"PUT {NAMES.route}"
    assert writes == [
        put_route,  # the rules, as the stack wants them
        put_status,
        put_status,
        put_route,
        f"POST {NAMES.config_maps}",
        put_status,
    ]
    (entry,) = served.entries()
    (path,) = [it for it in served.objects if "rollout-entry" in it]
    assert (path, served.objects[path]["immutable"]) == (
        f"{NAMES.config_maps}/rollout-entry-{entry['id']}",
        True,
    )


@pytest.mark.parametrize("calls", range(1, 31))
def test_what_a_dead_program_left_is_finished_once(
    served: Served, api: Api, calls: int
) -> None:
    """Each answer from some call on is lost; then everything works again."""
    served.fail_after = calls
    watched = Watched()
    program.step(cluster(api), watched)
    served.fail_after = -1
    program.step(cluster(api), watched)
    assert served.weights() == [95, 5]
    assert [it["verdict"] for it in served.entries()] == ["promote"]


def wants(served: Served, *rules: dict[str, Any]) -> None:
    served.objects[NAMES.settings]["data"][RULES_KEY] = json.dumps(rules)


def rule(*services: str, seconds: int = 10) -> dict[str, Any]:
    backends = [{"name": name, "weight": 50} for name in services]
    return {"backendRefs": backends, "timeouts": {"request": f"{seconds}s"}}


def test_rules_that_the_stack_changes_are_taken_with_the_weights_as_they_are(
    served: Served, api: Api
) -> None:
    cluster(api).run(tick())
    entries, version = served.entries(), served.version(NAMES.route)
    wants(served, rule("m-a", "m-b", seconds=20))
    for now in (30, 45):
        cluster(api, now).run(tick())
    (found,) = served.objects[NAMES.route]["spec"]["rules"]
    assert found["timeouts"] == {"request": "20s"}
    assert served.weights() == [95, 5]
    assert served.entries() == entries
    # Once, and not at each look.
    assert served.version(NAMES.route) == version + 1


def test_the_next_pair_takes_the_route_over_if_its_stable_has_all(
    served: Served, api: Api
) -> None:
    settings = replace(WIRED, stable="b", canary="c")
    data = served.objects[NAMES.settings]["data"]
    data[SETTINGS_KEY] = json.dumps(settings.plain())
    places = {it: {"service": f"m-{it}", "deployment": f"m-{it}"} for it in "bc"}
    data[PLACES_KEY] = json.dumps(places)
    wants(served, rule("m-b", "m-c"))
    before = served.objects[NAMES.route]
    wait = cluster(api).run(tick())
    assert wait
    assert wait.outcome.verdict is Verdict.STOP  # m-a has all requests
    assert served.objects[NAMES.route] == before
    stable, canary = before["spec"]["rules"][0]["backendRefs"]
    stable["weight"], canary["weight"] = 0, 100
    served.objects[NAMES.deployment("m-c")] = served.objects[NAMES.deployment("m-b")]
    cluster(api).run(tick())
    (found,) = served.objects[NAMES.route]["spec"]["rules"]
    weights = {it["name"]: it["weight"] for it in found["backendRefs"]}
    assert weights == {"m-b": 950_000, "m-c": 50_000}


def test_rules_that_are_none_stop(served: Served, api: Api) -> None:
    for data in ("[]", "{", '[{"backendRefs": [{}]}]'):
        served.objects[NAMES.settings]["data"][RULES_KEY] = data
        with pytest.raises(SettingsError, match="apply the stack again"):
            cluster(api).run(tick())


def test_harm_takes_the_canary_back(served: Served, api: Api) -> None:
    cluster(api).run(tick())
    served.counters["bad_b"] = steady(100)
    cluster(api, now=150).run(tick())
    assert served.weights() == [100, 0]
    # Not 0: Envoy Gateway would remove its cluster before proxies let go of it.
    assert served.raw_weights() == [1_000_000, 1]
    assert served.entries()[-1]["reason"].startswith("errors: the canary makes")


def test_the_stack_reads_the_weights_as_the_controller_writes_them() -> None:
    assert rollout_file.PARTS == PARTS
    backends = [{"name": "m-a", "weight": 100 * PARTS}, {"name": "m-b", "weight": 1}]
    route = {"spec": {"rules": [{"backendRefs": backends}]}}
    assert live_weights.weights(route) == {"m-a": 100, "m-b": 0}


def test_without_prometheus_it_holds(served: Served, api: Api) -> None:
    cluster(api).run(tick())
    del served.counters["all_b"]
    wait = cluster(api, now=150).run(tick())
    assert wait
    assert wait.outcome.reason == "the counts could not be read"
    assert served.weights() == [95, 5]


def test_without_its_deployment_the_canary_has_no_weight(
    served: Served, api: Api
) -> None:
    cluster(api).run(tick())
    del served.objects[NAMES.deployment("m-b")]
    del served.counters["all_b"]
    cluster(api, now=150).run(tick())
    assert served.weights() == [100, 0]


def test_an_order_changes_the_status_and_then_the_fence(
    served: Served, api: Api
) -> None:
    cluster(api).run(tick())
    cluster(api).run(give(OrderKind.PAUSE, who="ann", why="lunch"))
    assert served.objects[NAMES.route]["metadata"]["annotations"][FENCE] == "order-1"
    wait = cluster(api, now=150).run(tick())
    assert wait
    assert wait.outcome.reason == "pause by ann: lunch"


def test_who_comes_second_is_reported_and_loses_nothing(
    served: Served, api: Api
) -> None:
    first = cluster(api)
    route = first.answer(ReadRoute())
    first.answer(ReadSettings())
    write = WriteRoute(route.version, fence="mine")
    assert first.answer(write)
    assert not first.answer(write)
    _, version = first.answer(ReadStatus())
    begun = Status("", begun=0, started=0)
    assert first.answer(WriteStatus(begun, version, "it begins"))
    first.answer(ReadStatus())
    assert not first.answer(WriteStatus(begun, version, "it begins"))
    entry = WriteEntry({"id": "m-0-1"})
    assert first.answer(entry)
    assert not first.answer(entry)
    assert served.entries() == [{"id": "m-0-1"}]


def test_settings_that_are_none_stop_and_are_reported(
    served: Served, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    served.objects[NAMES.settings]["data"] = {}
    watched = Watched()
    program.step(cluster(api), watched)
    assert watched.outcome
    assert watched.outcome.verdict is Verdict.STOP
    assert "apply the stack again" in watched.outcome.reason
    program.step(cluster(api), watched)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["level"] == "warning"


def test_places_that_are_none_stop_too(served: Served, api: Api) -> None:
    served.objects[NAMES.settings]["data"][PLACES_KEY] = "[]"
    watched = Watched()
    program.step(cluster(api), watched)
    assert watched.outcome
    assert watched.outcome.verdict is Verdict.STOP


def test_no_fault_of_one_server_ends_the_others(
    served: Served, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, watched = cluster(api), Watched()
    broken.clock = lambda: float("inf")
    program.step(broken, watched)
    assert (watched.errors, watched.outcome) == (1, None)
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["level"], line["server"]) == ("error", "m")
    assert "OverflowError" in line["error"]


def test_a_step_fits_into_one_answer_of_prometheus(served: Served, api: Api) -> None:
    """Also when the controller looks a little after the deadline."""
    since, late = 7, MOST_INTERVALS * 30 + 600
    prometheus.read_counts(api, WIRED, since, since + late)
    assert served.most_points <= 11_000


def test_what_is_no_status_is_an_error_and_no_decision(
    served: Served, api: Api
) -> None:
    served.objects[NAMES.status]["data"] = {STATUS_KEY: "{}"}
    watched = Watched()
    program.step(cluster(api), watched)
    assert (watched.errors, watched.outcome, served.weights()) == (1, None, [100, 0])
    text = generate_latest(MetricsCollector({"m": watched})).decode()
    assert samples(text)["rollout_errors_total", "m"] == 1


def test_rules_that_disagree_are_nobodys_weights(served: Served, api: Api) -> None:
    rules = served.objects[NAMES.route]["spec"]["rules"]
    rules.append({"backendRefs": [{"name": "m-a"}, {"name": "m-b"}]})
    wait = cluster(api).run(tick())
    assert wait
    assert wait.outcome.verdict is Verdict.STOP


def test_places_are_of_both_revisions() -> None:
    assert set(PLACES) == {WIRED.stable, WIRED.canary}
