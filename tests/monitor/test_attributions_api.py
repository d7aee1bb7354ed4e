"""What the attribution job may ask the monitor: a sample without people, by a token."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from model_monitor.attributions import routes, sample, stored
from model_monitor.attributions.settings import AttributionSettings
from model_monitor.config import Config, Drift, Fairness, Model
from model_monitor.cycle import Cycle
from model_monitor.receiver import HANDLERS
from model_monitor.store import Store
from starlette.applications import Starlette

from tests.support.contracts import contract
from tests.support.monitor_logs import (
    Label,
    Member,
    Row,
    put_labels,
    put_predictions,
    put_protected,
)

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
YESTERDAY = "2026-11-28"
BEARER = {"authorization": "Bearer secret"}
CANARY = "canary-4711"


class Client:
    """Asks the application, one request at a time."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://monitor"
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def put(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PUT", path, **more)


@dataclass
class Place:
    """A store with a log of two days, and a client of its API."""

    store: Store
    model: Model
    config: Config
    client: Client

    def cycle(self) -> None:
        Cycle(self.config, self.store).run()

    def get(self, path: str, **headers: str) -> Any:
        answer = self.client.get(f"/v1/attributions/{path}", headers=headers or BEARER)
        assert answer.status_code == 200, answer.text
        return answer.json()


def rows(day: dt.datetime, number: int = 200, prefix: str = "") -> list[Row]:
    return [
        Row(
            f"{CANARY}-{prefix}{day:%d}-{it}",
            day,
            decision=str(it % 2),
            score=it / number,
            features={
                "age": it,
                "income": it // 10 * 10,
                "school": "BA" if it % 2 else "MA",
                "member": f"{CANARY}-hash",
                "sex": f"{CANARY}-sex",
                "race": f"{CANARY}-race",
                "secret": f"{CANARY}-dropped",
            },
        )
        for it in range(number)
    ]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "reference.json").write_text(json.dumps({"rows": 1, "features": {}}))
    log = {
        "keep": ["age", "school", "sex", "race"],
        "bucket": {"income": 10},
        "hash": ["member"],
        "protected": ["sex"],
    }
    (folder / "model.yaml").write_text(yaml.safe_dump({"revision": "r1", "log": log}))
    token = tmp_path / "token"
    token.write_text("secret\n")
    model = Model(
        "m",
        reference=folder / "reference.json",
        label_horizon_days=3,
        drift=Drift(min_rows=100),
        fairness=Fairness(("race",)),
        attributions=AttributionSettings(rows=150),
    )
    with Store(tmp_path / "store").opened() as store:
        put_predictions(store, "p1", rows(NOW - DAY), "m")
        put_predictions(store, "p2", rows(NOW, 1), "m")
        put_predictions(store, "p3", rows(NOW - 4 * DAY), "m")
        members = [Member(it.id, it.time, {"sex": "f"}) for it in rows(NOW - DAY)]
        put_protected(store, "x", members, "m")
        config = Config(store.root, (model,), clock="event", attribution_tokens=token)
        app = Starlette(
            routes=routes.routes(config, store), exception_handlers=HANDLERS
        )
        yield Place(store, model, config, Client(app))


def test_a_sample_has_what_the_log_keeps_and_nobody_in_it(place: Place) -> None:
    place.cycle()
    answer = place.get(f"m/r1/{YESTERDAY}")
    assert answer["rows"] == 150
    # Neither ids nor times, hashes, dropped features or protected attributes.
    assert CANARY not in json.dumps(answer)
    assert set(answer["features"]) == {"age", "school", "income"}
    assert answer.keys() == {
        *("model", "revision", "date", "rows", "features", "scores", "labels"),
    }
    for age, school, income, score in zip(
        *(answer["features"][it] for it in ("age", "school", "income")),
        answer["scores"],
        strict=True,
    ):
        assert school == ("BA" if age % 2 else "MA")
        assert income == age // 10 * 10
        assert score == age / 200
    assert len(set(answer["features"]["age"])) == 150


def test_a_sample_is_the_same_whatever_the_files(place: Place) -> None:
    day = dt.date.fromisoformat(YESTERDAY)
    first = sample.take(place.store, place.model, "r1", day, 50)
    # The same rows again in another file, as a log that arrives twice has them.
    put_predictions(place.store, "a", rows(NOW - DAY)[::-1], "m")
    assert sample.take(place.store, place.model, "r1", day, 50) == first
    more = sample.take(place.store, place.model, "r1", day, 120)
    assert set(first.features["age"]) < set(more.features["age"])
    assert more.rows == 120


def test_labels_that_hold_come_with_it(place: Place) -> None:
    day = (NOW - DAY).date()
    known = [
        Label(it.id, "1", NOW, day) for it in rows(NOW - DAY) if it.id.endswith("7")
    ]
    withdrawn = Label(known[0].id, None, NOW + DAY, day)
    corrected = Label(known[1].id, "0", NOW + DAY, day)
    put_labels(place.store, "l", [*known, withdrawn, corrected], "m")
    found = sample.take(place.store, place.model, "r1", day, 200)
    labels = dict(zip(found.features["age"], found.labels, strict=True))
    assert {age for age, it in labels.items() if it == "1"} == {
        float(it) for it in range(27, 200, 10)
    }
    assert labels[7.0] is None
    assert labels[17.0] == "0"


def test_other_revisions_and_refusals_are_not_in_it(place: Place) -> None:
    other = [replace(it, revision="r2") for it in rows(NOW - DAY, prefix="o")]
    refused = [replace(it, code="overload") for it in rows(NOW - DAY, prefix="e")]
    put_predictions(place.store, "other", other, "m")
    put_predictions(place.store, "refused", refused, "m")
    day = dt.date.fromisoformat(YESTERDAY)
    assert sample.take(place.store, place.model, "r1", day, 1000).rows == 200


def test_a_revision_that_was_logged_by_another_model_yaml_is_not_shown(
    place: Place,
) -> None:
    """The mounted one keeps what the older one may have hashed."""
    older = [replace(it, revision="r0") for it in rows(NOW - DAY, prefix="o")]
    put_predictions(place.store, "older", older, "m")
    place.cycle()
    answer = place.client.get(f"/v1/attributions/m/r0/{YESTERDAY}", headers=BEARER)
    assert answer.status_code == 409
    assert "'r1', not 'r0'" in answer.json()["error"]["message"]
    assert place.get(f"m/r1/{YESTERDAY}")["rows"] == 150


@pytest.mark.parametrize("day", ["9999-12-31", "2026-11-29", "2026-11-24"])
def test_a_day_that_cannot_be_sampled_is_refused(place: Place, day: str) -> None:
    """Of the future, not over yet, and without rows."""
    place.cycle()
    answer = put(place, content(date=day), f"m/r1/{day}")
    assert answer.status_code == 404
    assert stored.by_revision(place.store, "m") == {}


def test_without_model_yaml_nothing_is_shown(place: Place) -> None:
    place.cycle()
    assert place.model.reference
    place.model.reference.with_name("model.yaml").write_text("- no mapping")
    answer = place.client.get(f"/v1/attributions/m/r1/{YESTERDAY}", headers=BEARER)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "no_policy"


def content(**changes: Any) -> dict[str, Any]:
    feature = {
        "feature": "age",
        "value": 0.2,
        "low": 0.1,
        "high": 0.3,
        "standard_error": 0.05,
        "loss": None,
        "loss_low": None,
        "loss_high": None,
    }
    return {
        "schema": 1,
        "model": "m",
        "revision": "r1",
        "date": YESTERDAY,
        "rows": 150,
        "repetitions": 5,
        "outcome": "score",
        "filled": ["sex"],
        "disagreement": 0.01,
        "loss": None,
        "labelled": 0,
        "features": [feature],
        **changes,
    }


def put(place: Place, body: Any, path: str = f"m/r1/{YESTERDAY}") -> Any:
    return place.client.put(f"/v1/attributions/{path}", json=body, headers=BEARER)


def test_days_wait_until_they_are_attributed_and_again_for_labels(
    place: Place,
) -> None:
    place.cycle()
    answer = place.get("m/r1/days")
    # Today is not over, and has too few rows.
    assert answer == {
        "days": ["2026-11-25", YESTERDAY],
        "rows": 150,
        "task": "binary",
        "positive": "1",
    }
    assert put(place, content()).status_code == 204
    assert place.get("m/r1/days")["days"] == ["2026-11-25"]
    # The 25th is due by now: it waits for its loss until that has come.
    old = content(date="2026-11-25")
    assert put(place, old, "m/r1/2026-11-25").status_code == 204
    assert place.get("m/r1/days")["days"] == ["2026-11-25"]
    feature = {**old["features"][0], "loss": 0.1, "loss_low": 0.0, "loss_high": 0.2}
    old |= {"loss": "brier", "labelled": 150, "features": [feature]}
    assert put(place, old, "m/r1/2026-11-25").status_code == 204
    assert place.get("m/r1/days")["days"] == []


def test_what_is_sent_is_kept_as_the_contract_says(place: Place) -> None:
    place.cycle()
    assert put(place, content(more="x")).status_code == 204
    path = place.store.root / f"attributions/model=m/revision=r1/date={YESTERDAY}.json"
    kept = json.loads(path.read_text())
    agreed = contract("attributions")
    assert kept.keys() == agreed["fields"].keys()
    assert kept["features"][0].keys() == agreed["feature"].keys()
    assert kept == content()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 2}, "schema"),
        ({"model": "n"}, "model"),
        ({"revision": "r2"}, "revision"),
        ({"date": "2026-11-27"}, "date"),
        ({"rows": -1}, "rows"),
        ({"features": []}, "features"),
        ({"features": [{"feature": "a"}]}, "value"),
        ({"features": [{**content()["features"][0], "value": True}]}, "value"),
        ({"features": content()["features"] * 2}, "twice"),
        ({"loss": "log_loss"}, "loss"),
        ({"loss": "brier"}, "loss"),
        ({"filled": [7]}, "filled"),
    ],
)
def test_what_is_not_attributions_is_refused(
    place: Place, changes: dict[str, Any], reason: str
) -> None:
    place.cycle()
    answer = put(place, content(**changes))
    assert answer.status_code == 422
    assert reason in answer.json()["error"]["message"]
    assert stored.by_revision(place.store, "m") == {}


def test_numbers_that_are_none_and_bodies_that_are_too_large(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.cycle()
    path = f"/v1/attributions/m/r1/{YESTERDAY}"
    nan = json.dumps(content()).replace("0.05", "NaN")
    assert place.client.put(path, content=nan, headers=BEARER).status_code == 422
    for number in ("0.05", "150"):
        huge = json.dumps(content()).replace(number, f"1{'0' * 400}")
        assert place.client.put(path, content=huge, headers=BEARER).status_code == 422
    assert place.client.put(path, content="{", headers=BEARER).status_code == 400
    monkeypatch.setattr(routes, "MOST_BYTES", 10)
    assert put(place, content()).status_code == 413


@pytest.mark.parametrize("method", ["get", "put"])
@pytest.mark.parametrize("token", ["", "Bearer other", "secret"])
def test_nothing_without_the_token(place: Place, method: str, token: str) -> None:
    place.cycle()
    for path in ("days", YESTERDAY):
        answer = place.client.request(
            method, f"/v1/attributions/m/r1/{path}", headers={"authorization": token}
        )
        assert answer.status_code in ((401, 405) if path == "days" else (401,))
    assert stored.by_revision(place.store, "m") == {}


@pytest.mark.parametrize(
    "path",
    [
        *("n/r1/days", "m/r9/days", f"m/r9/{YESTERDAY}", "m/r1/20261128"),
        *("m/r1/2026-11-31", "m/..%2F..%2Fx/2026-11-28", "m/r1/x"),
    ],
)
def test_what_is_not_known_is_not_found(place: Place, path: str) -> None:
    place.cycle()
    answer = place.client.get(f"/v1/attributions/{path}", headers=BEARER)
    assert answer.status_code == 404
    assert put(place, content(), path).status_code in (404, 405)
    assert not (place.store.root / "attributions").exists()


def test_without_a_tokens_file_there_are_no_routes(place: Place) -> None:
    assert (
        routes.routes(replace(place.config, attribution_tokens=None), place.store) == []
    )
