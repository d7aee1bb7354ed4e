"""The monitor's API: the figures that it stores, by HTTP, without small groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from model_monitor.api import withheld
from model_monitor.api.audit_trail import DETAILS_BYTES, AuditTrail
from model_monitor.audit import Chain

from tests.support import watched_models
from tests.support.watched_models import MIN_GROUP, ROWS


@dataclass
class Served:
    """A monitor that serves a filled store."""

    client: httpx.Client
    labels_port: int
    store: Path

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def stored(self, model: str) -> Any:
        return json.loads((self.store / "results" / f"{model}.json").read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("api")
    config = watched_models.fill(folder)
    with watched_models.monitor(folder, config) as ports:
        url = f"http://127.0.0.1:{ports['port']}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            found = Served(client, ports["labels_port"], folder / "store")
            # Until the first pass has ended, idle has no results.
            watched_models.wait_for(
                lambda: found.get("/api/v1/models")["cycle"]["ended"]
            )
            yield found


def test_the_list_has_every_model_with_its_verdicts(served: Served) -> None:
    found = {it["model"]: it for it in served.get("/api/v1/models")["models"]}
    assert list(found) == ["loans", "prices", "idle"]
    newest, older = found["loans"]["results"]["revisions"]
    assert (newest["revision"], older["revision"]) == ("r2", "r1")
    assert (newest["is_approved"], older["is_approved"]) == (False, True)
    assert "age" in newest["drifted"]
    assert older["drifted"] == []
    verdicts = {
        it["verdict"]
        for window in newest["windows"].values()
        for it in window["judgements"]
    }
    assert verdicts == {"below baseline"}
    assert newest["concept_drifted"]
    assert found["loans"]["results"]["review_is_overdue"]
    assert found["idle"]["results"]["revisions"] == []
    assert "history" not in json.dumps(found)


def test_a_model_has_what_is_stored_of_it(served: Served) -> None:
    answer = served.get("/api/v1/models/loans")
    assert answer["model"] == "loans"
    stored = served.stored("loans")
    for found, own in zip(
        answer["results"]["revisions"], stored["revisions"], strict=True
    ):
        assert [found.pop("fairness") is None, own.pop("fairness") is None] == [0, 0]
    assert answer["results"] == stored


def test_histograms_are_the_rows_of_the_day(served: Served) -> None:
    revision = served.get("/api/v1/models/loans")["results"]["revisions"][0]
    found = {it["feature"]: it for it in revision["drift"]["features"]}
    for name, it in found.items():
        bins = it["histogram"]
        outside = sum(bins[key] for key in ("missing", "below", "above", "unseen"))
        assert sum(bins["current"]) + outside == it["rows"] == ROWS, name
    age, region = found["age"]["histogram"], found["region"]["histogram"]
    assert age["reference"] == [112, 196, 276, 239, 126, 51]
    assert age["edges"] == watched_models.EDGES
    assert 0.05 < age["missing"] / ROWS < 0.15
    assert region["categories"] == list(watched_models.REGIONS)
    assert 0.1 < region["unseen"] / ROWS < 0.3
    predictions = {it["feature"]: it for it in revision["drift"]["predictions"]}
    assert sum(predictions["score"]["histogram"]["current"]) == ROWS
    decision = predictions["decision"]["histogram"]
    assert decision["categories"] == ["0", "1"]
    assert sum(decision["current"]) == ROWS


def test_the_cusum_is_reported_for_every_day(served: Served) -> None:
    concept = served.get("/api/v1/models/loans")["results"]["revisions"][0]["concept"]
    days = [it["day"] for it in concept["points"]]
    assert days == sorted(days)
    assert concept["points"][-1]["statistic"] == concept["statistic"]
    over = [it["day"] for it in concept["points"] if it["statistic"] > concept["limit"]]
    assert tuple(over) == tuple(concept["alarms"])


def test_no_small_group_is_given_out(served: Served) -> None:
    stored = served.stored("loans")["revisions"][0]["fairness"]
    sizes = {it["name"]: it["rows"] for it in stored[1]["groups"]}
    assert 0 < sizes["C"] < MIN_GROUP
    revision = served.get("/api/v1/models/loans")["results"]["revisions"][0]
    sex, origin = revision["fairness"]
    assert {it["name"] for it in sex["groups"]} == {"1", "2"}
    assert sex["groups_withheld"] == 0
    # Without B, C would be what is missing of all rows.
    assert {it["name"] for it in origin["groups"]} == {"A"}
    assert origin["groups_withheld"] == 2


def classes(**sizes: tuple[int, int]) -> dict[str, Any]:
    """An audit of groups with (positives, negatives), all of them labelled."""
    found = [
        {
            "name": name,
            "rows": sum(both),
            "labelled": sum(both),
            **dict(zip(("positives", "negatives"), both, strict=True)),
            **{rate: {"value": 0.5} for rate in RATES},
        }
        for name, both in sizes.items()
    ]
    return {"attribute": "A", "min_group": 100, "groups": found}


RATES = ("selection", "accuracy", "true_positive", "false_positive")


@pytest.mark.parametrize(
    ("audit", "rated"),
    [
        (classes(a=(300, 300), b=(100, 100)), {"a", "b"}),
        # One person's decision would be the rate, or accuracy less the other rate.
        (classes(a=(300, 300), b=(200, 200), c=(1, 149)), {"a"}),
        (classes(a=(300, 300), b=(200, 200), c=(149, 1)), {"a"}),
        # Those of c and d together are enough, and are not shown separately.
        (classes(a=(300, 300), c=(60, 149), d=(60, 149)), {"a"}),
        (classes(a=(300, 300), b=(0, 200)), {"a", "b"}),
    ],
)
def test_rates_of_few_positives_or_negatives_are_not_given_out(
    audit: dict[str, Any], rated: set[str]
) -> None:
    (revision,) = withheld.of({"revisions": [{"fairness": [audit]}]})["revisions"]
    found = {it["name"]: it for it in revision["fairness"][0]["groups"]}
    assert set(found) == {it["name"] for it in audit["groups"]}
    for name, it in found.items():
        for rate in ("true_positive", "false_positive", "positives", "negatives"):
            assert (it[rate] is not None) is (name in rated), (name, rate)
        assert it["accuracy"] is not None


def test_rates_of_an_older_monitor_are_not_given_out() -> None:
    """It does not tell how many were positive."""
    audit = classes(a=(300, 300))
    del audit["groups"][0]["positives"]
    (revision,) = withheld.of({"revisions": [{"fairness": [audit]}]})["revisions"]
    (group,) = revision["fairness"][0]["groups"]
    assert group["true_positive"] is None
    assert group["false_positive"] is None
    assert group["accuracy"] is not None


def groups(**sizes: tuple[int, int]) -> dict[str, Any]:
    """An audit of groups with (rows, labelled)."""
    found = [
        {"name": name, "rows": rows, "labelled": labelled, "accuracy": {"value": 0.5}}
        for name, (rows, labelled) in sizes.items()
    ]
    return {"attribute": "A", "min_group": 100, "groups": found}


def shown(audit: dict[str, Any]) -> dict[str, Any]:
    (revision,) = withheld.of({"revisions": [{"fairness": [audit]}]})["revisions"]
    return {it["name"]: it["labelled"] for it in revision["fairness"][0]["groups"]}


@pytest.mark.parametrize(
    ("audit", "expected"),
    [
        (groups(a=(900, 500), b=(100, 100)), {"a": 500, "b": 100}),
        # The smaller of those that are left goes with the one that is too small.
        (groups(a=(900, 500), b=(300, 200), c=(99, 0)), {"a": 500}),
        # Two that have enough together need no third.
        (groups(a=(900, 500), b=(60, 60), c=(60, 60)), {"a": 500}),
        # Nothing is known of labels where there are none, and that is not secret.
        (groups(a=(900, 500), b=(200, 0)), {"a": 500, "b": 0}),
        (
            groups(a=(900, 500), b=(200, 5), c=(800, 400)),
            {"a": 500, "b": None, "c": None},
        ),
        # Labels of groups that are not shown could be found by subtraction as well.
        (
            groups(a=(900, 500), b=(60, 1), c=(60, 1), d=(800, 400)),
            {"a": 500, "d": None},
        ),
        ({**groups(a=(900, 500)), "min_group": 0}, {}),
    ],
)
def test_groups_that_could_be_subtracted_go_too(
    audit: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert shown(audit) == expected


def test_the_audit_trail_is_reported_with_its_verification(served: Served) -> None:
    found = served.get("/api/v1/audit")
    verification = found["verification"]
    assert verification["is_intact"]
    assert verification["entries"] == len(found["entries"]) > 3
    numbers = [it["sequence"] for it in found["entries"]]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] == verification["head"]["sequence"]
    assert "backfilled" in {it["action"] for it in found["entries"]}
    assert len(served.get("/api/v1/audit?limit=2")["entries"]) == 2


def test_a_changed_entry_is_noticed_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl"
    for number in range(3):
        Chain(path).append("tested", {"number": number, "who": "canary"})
    trail = AuditTrail(path)
    assert trail.newest(5)["verification"]["is_intact"]
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"canary", b"nobody")
    path.write_bytes(b"".join(lines))
    found = trail.newest(5)
    assert found["verification"]["broken"]["line"] == 2
    assert found["verification"]["broken"]["what"] == "hash"
    newest, changed, oldest = found["entries"]
    assert (newest["sequence"], oldest["sequence"]) == (3, 1)
    assert changed["sequence"] is None
    assert "changed after it was written" in changed["problem"]
    assert "nobody" not in json.dumps(found)


def test_an_unfinished_line_is_reported_and_long_details_are_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chain.jsonl"
    assert AuditTrail(path).newest(5) == {"entries": [], "verification": None}
    Chain(path).append("tested", {"text": "x" * DETAILS_BYTES})
    found = AuditTrail(path).newest(5)
    (entry,) = found["entries"]
    assert entry["details"]["left_out_bytes"] > DETAILS_BYTES
    with path.open("ab") as file:
        file.write(b'{"sequence":2')
    found = AuditTrail(path).newest(5)
    assert found["verification"]["broken"]["what"] == "tail"
    assert len(found["entries"]) == 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/models/other", 404, "unknown_model"),
        ("/api/v1/models/..%2Fconfig", 404, "not_found"),
        ("/api/v1/models/..", 404, "not_found"),
        ("/api/v1/audit?limit=0", 400, "bad_limit"),
        ("/api/v1/audit?limit=201", 400, "bad_limit"),
        ("/api/v1/audit?limit=" + "9" * 5000, 400, "bad_limit"),
        ("/api/v1/audit?limit=%D9%A1", 400, "bad_limit"),
        ("/api/v1", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_refused(
    served: Served, path: str, status: int, code: str
) -> None:
    answer = served.client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/models/loans"])
def test_nothing_can_be_changed(served: Served, path: str) -> None:
    assert served.client.head(path).status_code == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert served.client.request(method, path).status_code == 405
    headers = served.client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_port_for_labels_has_no_api(served: Served) -> None:
    for path in ("/api/v1/models", "/api/v1/models/loans", "/api/v1/audit"):
        url = f"http://127.0.0.1:{served.labels_port}{path}"
        assert httpx.get(url, trust_env=False).status_code == 404


def test_no_row_is_in_any_answer(served: Served) -> None:
    for path in ("/api/v1/models", "/api/v1/models/loans", "/api/v1/audit?limit=200"):
        text = served.client.get(path).text
        assert '"r1-' not in text
        assert '"r2-' not in text
