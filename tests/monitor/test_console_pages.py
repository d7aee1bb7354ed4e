"""The console's pages: the real monitor's figures, by HTTP, as a browser gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support import consoles, web_pages
from tests.support.consoles import Running
from tests.support.watched_models import ROWS
from tests.support.web_pages import SVG, cells, table, words

pytestmark = pytest.mark.programs
PATHS = [
    "/",
    "/models/loans",
    "/models/loans?revision=r1",
    "/models/loans?feature=region",
    "/models/prices",
    "/models/idle",
    "/alerts",
    "/audit",
    "/models/other",
    "/nothing",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with consoles.running(tmp_path_factory.mktemp("console")) as found:
        yield found


@pytest.fixture(scope="module")
def client(place: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=place.console, timeout=60, trust_env=False) as found:
        yield found


def page(client: httpx.Client, path: str) -> Any:
    return web_pages.parsed(client.get(path).raise_for_status().text)


def stored(place: Running, model: str = "loans") -> Any:
    """The revisions of a model as the monitor stores them, the newest first."""
    file = place.folder / "store" / "results" / f"{model}.json"
    return json.loads(file.read_text())["revisions"]


def shown(figure: dict[str, float]) -> str:
    return f"{figure['value']:.4f} ({figure['low']:.4f} to {figure['high']:.4f})"


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_valid_and_can_be_used_without_seeing_it(
    client: httpx.Client, path: str
) -> None:
    assert web_pages.problems(client.get(path).text) == []


def test_the_fleet_has_every_model_and_its_verdicts(
    client: httpx.Client, place: Running
) -> None:
    rows = cells(table(page(client, "/"), "All models"))
    names = {
        row[0].split()[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]
    }
    assert list(names) == ["loans", "prices", "idle"]
    loans = names["loans"]
    for verdict in ("below baseline", "revision not approved", "concept drift"):
        assert verdict in loans["Verdict"]
    window = stored(place)[0]["windows"]["30d"]
    assert loans["Quality"] == f"accuracy {shown(window['metrics']['accuracy'])}"
    assert loans["Label coverage"] == f"{window['coverage']:.1%}" == "90.0%"
    assert "age" in loans["Feature drift"]
    assert loans["Alerts now"] == "2 firing"
    assert names["prices"]["Alerts now"] == "none"
    assert names["idle"]["Verdict"].endswith("no predictions")
    assert "mean absolute error" in names["prices"]["Quality"]


def test_a_model_has_the_figures_of_its_newest_revision(
    client: httpx.Client, place: Running
) -> None:
    found = page(client, "/models/loans")
    newest = stored(place)[0]
    rows = {row[0]: row[1:] for row in cells(table(found, "Days whose labels"))}
    for number, window in enumerate(newest["windows"].values()):
        assert rows["Predictions"][number] == f"{window['answered']:,}"
        for name, label in (("accuracy", "accuracy"), ("f1", "F1"), ("auc", "AUC")):
            assert rows[label][number] == shown(window["metrics"][name])
    history = cells(table(found, "Metrics of each day"))
    assert len(history) - 1 == len(newest["history"])
    assert history[1][0].startswith(newest["history"][-1]["date"])


def test_quality_is_drawn_with_intervals_baseline_and_coverage(
    client: httpx.Client, place: Running
) -> None:
    found = page(client, "/models/loans")
    pictures = {words(it.find(f"{SVG}title")): it for it in found.iter(f"{SVG}svg")}
    chart = pictures["accuracy by day"]
    history = stored(place)[0]["history"]
    kinds = [it.get("class", "") for it in chart.iter()]
    assert kinds.count("whisker") == len(history)
    hollow = sum(not day["is_due"] for day in history)
    assert kinds.count("dot hollow") == hollow > 0
    assert kinds.count("dot") == len(history) - hollow
    assert {"band", "line", "baseline", "limit"} <= set(kinds)
    told = words(chart.find(f"{SVG}desc"))
    assert f"Newest {history[-1]['metrics']['accuracy']['value']:.4g}" in told
    assert "Baseline 0.85, limit 0.83." in told
    assert next(iter(pictures)) == "accuracy by day"
    assert "Share of predictions with a label, by day" in pictures


def test_places_in_a_chart_are_those_of_the_figures(
    client: httpx.Client, place: Running
) -> None:
    """The scale, measured at two days, gives the places of all others."""
    found = page(client, "/models/loans")
    (chart,) = [
        it
        for it in found.iter(f"{SVG}svg")
        if words(it.find(f"{SVG}title")) == "F1 by day"
    ]
    values = [day["metrics"]["f1"]["value"] for day in stored(place)[0]["history"]]
    heights = [float(it.get("cy", "")) for it in chart.iter(f"{SVG}circle")]
    lowest, highest = values.index(min(values)), values.index(max(values))
    slope = (heights[highest] - heights[lowest]) / (values[highest] - values[lowest])
    assert slope < 0
    for value, height in zip(values, heights, strict=True):
        expected = heights[lowest] + slope * (value - values[lowest])
        assert height == pytest.approx(expected, abs=0.02)


def test_drift_has_both_histograms_side_by_side_and_as_a_table(
    client: httpx.Client, place: Running
) -> None:
    found = page(client, "/models/loans")
    features = {it["feature"]: it for it in stored(place)[0]["drift"]["features"]}
    verdicts = cells(table(found, "Every feature"))
    assert {row[0] for row in verdicts[1:]} == set(features)
    assert verdicts[1][:3] == ["age", "! drift", f"{features['age']['effect']:.1%}"]
    for name, it in features.items():
        bins = it["histogram"]
        rows = cells(table(found, f"{name}: rows by bin"))[1:]
        inside = rows[: len(bins["current"])]
        assert [row[1] for row in inside] == [f"{n:,}" for n in bins["reference"]]
        assert [row[3] for row in inside] == [f"{n:,}" for n in bins["current"]]
        (chart,) = [
            svg
            for svg in found.iter(f"{SVG}svg")
            if words(svg.find(f"{SVG}title")).startswith(f"{name}: ")
        ]
        bars = [it.get("class") for it in chart.iter(f"{SVG}rect")]
        assert bars == ["bar reference", "bar current"] * len(rows)
    age = cells(table(found, "age: rows by bin"))
    assert age[-1][0] == "missing"
    assert words(found).count("Score and decision against the reference") == 1
    assert cells(table(found, "decision: rows by bin"))[1][0] == "0"


def test_one_feature_can_be_chosen(client: httpx.Client) -> None:
    found = page(client, "/models/loans?feature=region")
    titles = [words(it) for it in found.iter(f"{SVG}title")]
    assert [it for it in titles if it.endswith("newest day")] == [
        "region: reference and newest day",
        "score: reference and newest day",
        "decision: reference and newest day",
    ]


def test_the_cusum_shows_limit_and_alarms(client: httpx.Client, place: Running) -> None:
    found = page(client, "/models/loans")
    concept = stored(place)[0]["concept"]
    (chart,) = [it for it in found.iter(f"{SVG}svg") if "deviations" in words(it[0])]
    kinds = [it.get("class", "") for it in chart.iter()]
    assert kinds.count("alarm") == len(concept["alarms"]) > 0
    assert "limit" in kinds
    sums = cells(table(found, "The larger sum"))[1:]
    assert [row[0] for row in sums if row[2] == "yes"] == concept["alarms"][::-1]


def test_fairness_shows_intervals_and_no_small_group(
    client: httpx.Client, place: Running
) -> None:
    found = page(client, "/models/loans")
    sex, origin = stored(place)[0]["fairness"]
    rows = cells(table(found, "Groups by SEX"))[1:]
    for row, group in zip(rows, sex["groups"], strict=True):
        assert row[:2] == [group["name"], f"{group['rows']:,}"]
        names = ("selection", "true_positive", "false_positive", "accuracy")
        assert row[3:] == [shown(group[name]) for name in names]
    assert [row[0] for row in cells(table(found, "Groups by ORIGIN"))[1:]] == ["A"]
    small = next(it["rows"] for it in origin["groups"] if it["name"] == "C")
    assert 0 < small < 100
    assert "2 groups are not shown" in words(found)
    comparisons = cells(table(found, "Comparisons by SEX"))[1:]
    for row, metric in zip(comparisons, sex["metrics"], strict=True):
        assert row[1] == shown(metric["figure"])
        assert row[3].endswith(metric["verdict"])


def test_revisions_stand_side_by_side(client: httpx.Client, place: Running) -> None:
    rows = cells(table(page(client, "/models/loans"), "Every revision"))
    assert rows[0] == ["Metric", "r2", "r1"]
    found = {row[0]: row[1:] for row in rows}
    assert found["Approved"] == ["no", "yes"]
    figures = [it["windows"]["30d"]["metrics"]["f1"] for it in stored(place)]
    assert found["F1"] == [shown(it) for it in figures]
    assert found["Feature drift"][1] == "none"
    older = page(client, "/models/loans?revision=r1")
    history = cells(table(older, "Metrics of each day"))
    assert len(history) - 1 == 8
    assert history[1][1] == str(ROWS)


def test_a_regression_has_its_own_figures(client: httpx.Client, place: Running) -> None:
    found = page(client, "/models/prices")
    rows = {row[0]: row[1:] for row in cells(table(found, "Days whose labels"))}
    window = stored(place, "prices")[0]["windows"]["30d"]
    assert rows["mean absolute error"][2] == shown(window["metrics"]["mae"])
    assert "Not judged: it needs labels" in words(found)
    assert "No protected attribute is watched" in words(found)


def test_alerts_are_those_of_alertmanager(client: httpx.Client) -> None:
    rows = cells(table(page(client, "/alerts"), "Alerts that fire"))[1:]
    assert [(row[0], row[1].split()[-1], row[2]) for row in rows] == [
        ("ModelQualityLow", "critical", "loans"),
        ("ModelDataDrift", "warning", "loans"),
        ("NodeDiskFull", "warning", "-"),
    ]
    assert rows[0][3] == "2026-11-29 08:00 UTC"
    links = {it.get("href"): words(it) for it in page(client, "/alerts").iter("a")}
    runbook = "https://runbooks.example/ModelQualityLow.md"
    assert links[runbook] == "Runbook of ModelQualityLow"
    assert "docs/runbooks/ModelDataDrift.md" not in links
    own = cells(table(page(client, "/models/loans"), "Alerts about loans"))[1:]
    assert [row[0] for row in own] == ["ModelQualityLow", "ModelDataDrift"]
    assert "No alert about this model fires." in words(page(client, "/models/idle"))


def test_a_changed_audit_trail_is_reported(
    client: httpx.Client, place: Running
) -> None:
    found = page(client, "/audit")
    assert "the chain is intact" in words(found)
    chain = place.folder / "store" / "audit" / "chain.jsonl"
    lines = chain.read_bytes().splitlines(keepends=True)
    entries = [json.loads(line) for line in lines]
    rows = cells(table(found, "The newest"))[1:]
    assert [int(row[0]) for row in rows] == list(range(len(lines), 0, -1))
    assert rows[-1][3] == entries[0]["action"]
    assert f"{entries[-1]['sequence']}:{entries[-1]['hash']}" in words(found)
    content = chain.read_bytes()
    chain.write_bytes(content.replace(b'"actor":"monitor"', b'"actor":"nobody!"', 1))
    try:
        assert "the chain is broken" in words(page(client, "/audit"))
    finally:
        chain.write_bytes(content)
    assert "the chain is intact" in words(page(client, "/audit"))


@pytest.mark.parametrize(
    "path",
    [
        "/models/other",
        "/models/loans?revision=r9",
        "/models/loans?feature=colour",
        "/models/..%2F..%2Fetc",
        "/static/console.py",
        "/static/..%2Fpages.py",
        "/nothing",
    ],
)
def test_what_is_not_there_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert web_pages.problems(answer.text) == []


@pytest.mark.parametrize("path", [*PATHS, "/static/console.css"])
def test_nothing_can_be_changed_and_nothing_is_set(
    client: httpx.Client, path: str
) -> None:
    answer = client.get(path)
    headers = answer.headers
    assert "set-cookie" not in headers
    assert "server" not in headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert ("no-store" in headers["cache-control"]) == ("/static" not in path)
    assert client.head(path).status_code == answer.status_code
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = client.request(method, path)
        expected = 404 if path == "/nothing" else 405
        assert refused.status_code == expected
        assert refused.headers["content-security-policy"] == policy


def test_the_console_tells_what_it_did(client: httpx.Client, place: Running) -> None:
    assert client.get("/alerts").status_code == client.get("/").status_code == 200
    with httpx.Client(base_url=place.probes, trust_env=False) as probes:
        assert probes.get("/healthz").text == probes.get("/readyz").text == "ok\n"
        assert probes.get("/alerts").status_code == 404
        answer = probes.get("/metrics")
    text = answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 404
    assert 'model_console_pages_total{page="fleet",status="200"}' in text
    asked = 'model_console_source_requests_total{result="ok",source='
    assert asked + '"monitor"}' in text
    assert asked + '"alertmanager"}' in text
