"""The prediction log in a bucket: every object once, and nothing changed there."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from model_monitor import cycle
from model_monitor.buckets import log
from model_monitor.buckets.address import Address
from model_monitor.buckets.log import BucketLog
from model_monitor.buckets.logs import BucketLogs
from model_monitor.config import Config, Model
from model_monitor.cycle import Cycle, StoppedError
from model_monitor.receiver.counters import Counters
from model_monitor.store import Limits, Store
from prometheus_client import CollectorRegistry

from tests.support.fake_s3 import FakeS3

TODAY = dt.date(2026, 11, 29)
ADDRESS = Address("logs", "prod/")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


@pytest.fixture
def bucket() -> FakeS3:
    return FakeS3()


def name(number: int) -> str:
    return f"predictions-pod-20261129T070000-7-{number:06d}.jsonl.gz"


def put(bucket: FakeS3, number: int, day: str = "2026-11-29", size: int = 9) -> str:
    key = f"prod/landing/date={day}/{name(number)}"
    bucket.objects[key] = bytes(size)
    return key


def reader(store: Store, bucket: FakeS3, **limits: Any) -> BucketLog:
    return BucketLog(store, ADDRESS, Limits(**limits), client=lambda: bucket)


def landed(store: Store) -> set[str]:
    return {it.name for it in store.landing.iterdir() if it.is_file()}


def read(store: Store) -> None:
    """As the store does, which removes what it has read."""
    for path in store.landing.iterdir():
        if path.is_file():
            path.unlink()


def test_every_object_comes_once(store: Store, bucket: FakeS3) -> None:
    keys = [put(bucket, 1), put(bucket, 2)]
    before = dict(bucket.objects)
    source = reader(store, bucket)
    assert source.fetch(TODAY).files == 2
    assert landed(store) == {name(1), name(2)}
    assert (store.landing / name(1)).read_bytes() == bytes(9)
    assert (store.landing / name(1)).stat().st_mode & 0o777 == 0o640
    read(store)
    put(bucket, 3)
    found = source.fetch(TODAY)
    assert (found.files, found.has_more) == (1, False)
    assert landed(store) == {name(3)}
    assert bucket.reads[:2] == keys
    assert before.items() <= bucket.objects.items()


def test_a_monitor_that_starts_anew_fetches_nothing_again(
    store: Store, bucket: FakeS3
) -> None:
    put(bucket, 1)
    put(bucket, 2, "2026-10-01")
    assert reader(store, bucket).fetch(TODAY).files == 2
    read(store)
    assert reader(store, bucket).fetch(TODAY).files == 0
    assert not landed(store)


def test_a_name_that_was_cut_off_is_fetched_again(store: Store, bucket: FakeS3) -> None:
    put(bucket, 1)
    put(bucket, 2)
    reader(store, bucket).fetch(TODAY)
    read(store)
    (noted,) = (store.root / "buckets").glob("*/date=2026-11-29")
    noted.write_bytes(noted.read_bytes()[:-4])
    assert reader(store, bucket).fetch(TODAY).files == 1
    assert landed(store) == {name(2)}
    read(store)
    assert reader(store, bucket).fetch(TODAY).files == 0


def test_later_looks_go_through_the_newest_days_alone(
    store: Store, bucket: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(log.time, "monotonic", lambda: now)
    source = reader(store, bucket, retention_days=60)
    source.fetch(TODAY)
    late = put(bucket, 1, "2026-11-20")
    assert source.fetch(TODAY).files == 0
    now += log.WHOLE_SECONDS
    assert source.fetch(TODAY).files == 1
    assert bucket.reads == [late]
    assert bucket.lists == [
        "prod/landing/date=2026-09-30",
        "prod/landing/date=2026-11-28",
        "prod/landing/date=2026-09-30",
    ]


def test_days_beyond_the_retention_are_not_looked_at(
    store: Store, bucket: FakeS3
) -> None:
    put(bucket, 1, "2026-11-26")
    put(bucket, 2, "2026-11-27")
    source = reader(store, bucket, retention_days=2)
    assert source.fetch(TODAY).files == 1
    assert landed(store) == {name(2)}
    assert len(list((store.root / "buckets").glob("*/*"))) == 1
    # What was noted of a day is deleted with it.
    reader(store, bucket, retention_days=2).fetch(TODAY + dt.timedelta(days=5))
    assert not list((store.root / "buckets").glob("*/*"))


def test_a_long_list_is_read_page_by_page_and_round_by_round(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = FakeS3(page=3)
    for number in range(8):
        put(bucket, number, size=100)
    monkeypatch.setattr(log, "ROUND_BYTES", 250)
    source = reader(store, bucket)
    rounds = []
    while True:
        found = source.fetch(TODAY)
        rounds.append(found.files)
        read(store)
        if not found.has_more:
            break
    assert rounds == [3, 3, 2]
    assert len(bucket.lists) == 3
    assert len(set(bucket.reads)) == 8


def test_nothing_is_fetched_while_much_waits(
    store: Store, bucket: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "WAITING_BYTES", 10)
    put(bucket, 1)
    (store.landing / name(7)).write_bytes(bytes(11))
    source = reader(store, bucket)
    assert source.fetch(TODAY).files == 0
    read(store)
    assert source.fetch(TODAY).files == 1


def test_a_name_that_waits_in_the_store_is_not_overwritten(
    store: Store, bucket: FakeS3
) -> None:
    put(bucket, 1)
    (store.landing / name(1)).write_bytes(b"came another way")
    source = reader(store, bucket)
    assert source.fetch(TODAY).files == 0
    assert (store.landing / name(1)).read_bytes() == b"came another way"
    read(store)
    assert source.fetch(TODAY).files == 1


@pytest.mark.parametrize(
    "key",
    [
        "prod/landing/date=2026-11-29/notes.txt",
        "prod/landing/date=2026-11-29/deeper/predictions-a.jsonl.gz",
        "prod/landing/a.jsonl.gz",
        "prod/landing/predictions-a.jsonl.gz",
    ],
)
def test_what_is_no_log_file_is_reported_once_and_left(
    store: Store, bucket: FakeS3, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.objects[key] = b"x"
    put(bucket, 1)
    source = reader(store, bucket)
    found = source.fetch(TODAY)
    assert found.files == 1
    told = [it for it in caplog.records if getattr(it, "key", "") == f"s3://logs/{key}"]
    is_seen = key.startswith("prod/landing/date=")
    assert len(told) == found.refused == int(is_seen)
    assert source.fetch(TODAY).refused == 0


def test_too_large_an_object_is_not_fetched(store: Store, bucket: FakeS3) -> None:
    put(bucket, 1, size=50)
    put(bucket, 2, size=51)
    found = reader(store, bucket, file_bytes=50).fetch(TODAY)
    assert (found.files, found.refused) == (1, 1)
    assert landed(store) == {name(1)}


def test_an_object_that_is_refused_does_not_keep_back_the_others(
    store: Store, bucket: FakeS3
) -> None:
    bucket.refused[put(bucket, 1)] = "AccessDenied"
    bucket.refused[put(bucket, 2)] = "NoSuchKey"
    put(bucket, 3)
    source = reader(store, bucket)
    found = source.fetch(TODAY)
    assert (found.files, "AccessDenied" in found.reason) == (1, True)
    bucket.refused.clear()
    assert source.fetch(TODAY).files == 2


def test_a_right_that_is_missing_ends_the_call(store: Store, bucket: FakeS3) -> None:
    for number in range(log.REFUSALS + 5):
        bucket.refused[put(bucket, number)] = "AccessDenied"
    found = reader(store, bucket).fetch(TODAY)
    assert ("AccessDenied" in found.reason, found.has_more) == (True, False)
    assert len(bucket.reads) == log.REFUSALS


def test_objects_that_are_always_refused_keep_back_no_others(
    store: Store, bucket: FakeS3
) -> None:
    for number in range(2 * log.REFUSALS):
        bucket.refused[put(bucket, number)] = "AccessDenied"
    put(bucket, 2 * log.REFUSALS)
    source = reader(store, bucket)
    found = [source.fetch(TODAY) for _ in range(3)]
    assert [it.files for it in found] == [0, 0, 1]
    assert len(bucket.reads) == 2 * log.REFUSALS + 1
    bucket.refused.clear()
    assert source.fetch(TODAY).files == 2 * log.REFUSALS


class Unreachable(FakeS3):
    def list_objects_v2(self, **asked: str) -> dict[str, Any]:
        del asked
        raise EndpointConnectionError(endpoint_url="https://s3.example")


def test_one_bucket_that_cannot_be_read_does_not_keep_back_another(
    store: Store, bucket: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bucket.refused[""] = "NoSuchBucket"
    other = FakeS3()
    put(other, 1)
    found = BucketLogs(
        [reader(store, bucket), reader(store, Unreachable()), reader(store, other)]
    )
    assert found.fetch(TODAY).files == 1
    assert found.fetch(TODAY).files == 0
    assert found.failures == 2
    (said,) = [it.getMessage() for it in caplog.records]
    assert "s3://logs/prod/" in said
    assert "NoSuchBucket" in said
    assert "https://s3.example" in said


def test_the_end_of_a_failure_is_reported(
    store: Store, bucket: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bucket.refused[""] = "AccessDenied"
    found = BucketLogs([reader(store, bucket)])
    found.fetch(TODAY)
    assert found.failures == 1
    bucket.refused.clear()
    put(bucket, 1)
    assert found.fetch(TODAY).files == 1
    assert found.failures == 0
    assert "again" in caplog.records[-1].getMessage()


def record(number: int) -> dict[str, Any]:
    return {
        "id": str(number),
        "row": 0,
        "time": "2026-11-01T12:00:00.000000Z",
        "model": "m",
        "version": "1",
        "revision": "r1",
        "arm": "stable",
        "status": 200,
        "latency_seconds": 0.5,
        "features": {},
        "decision": 1,
        "score": 0.75,
    }


@pytest.fixture
def monitor(
    store: Store, bucket: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> tuple[Cycle, CollectorRegistry]:
    """A cycle on the store that reads the bucket, as its configuration says."""
    monkeypatch.setattr(log, "_client", lambda: bucket)
    registry = CollectorRegistry()
    models = (Model("m", label_horizon_days=1),)
    config = Config(store.root, models, clock="event", buckets=(ADDRESS,))
    return Cycle(config, store, counters=Counters(registry, ["m"])), registry


def file_of(number: int) -> bytes:
    return gzip.compress(json.dumps(record(number)).encode() + b"\n")


def test_a_pass_reads_all_that_the_bucket_has(
    store: Store,
    bucket: FakeS3,
    monitor: tuple[Cycle, CollectorRegistry],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "ROUND_BYTES", 1)
    for number in range(3):
        bucket.objects[put(bucket, number)] = file_of(number)
    watching, registry = monitor
    (computed,) = watching.run().computed
    assert str(computed.date) == "2026-11-01"
    results = json.loads((store.results / "m.json").read_text())
    assert results["revisions"][0]["history"][0]["answered"] == 3
    samples = {"result": "fetched"}
    assert registry.get_sample_value("monitor_files_total", samples) == 3
    assert registry.get_sample_value("monitor_bucket_failures") == 0


def test_protected_attributes_are_read_from_their_own_folder(
    store: Store, bucket: FakeS3, monitor: tuple[Cycle, CollectorRegistry]
) -> None:
    kept = ("id", "row", "time", "model", "revision")
    line = {key: record(1)[key] for key in kept} | {"attributes": {"SEX": "1"}}
    key = put(bucket, 1).replace("landing", "protected")
    content = gzip.compress(json.dumps(line).encode() + b"\n")
    bucket.objects = {key.replace("predictions", "protected"): content}
    watching, registry = monitor
    watching.run()
    assert registry.get_sample_value("monitor_protected_records_total") == 1
    assert len(list(store.protected.rglob("*.parquet"))) == 1
    bucket.reads.clear()
    watching.run()
    assert bucket.reads == []


def test_a_pass_goes_on_without_its_bucket(
    store: Store, bucket: FakeS3, monitor: tuple[Cycle, CollectorRegistry]
) -> None:
    bucket.refused[""] = "AccessDenied"
    (store.landing / name(1)).write_bytes(file_of(1))
    watching, registry = monitor
    assert len(watching.run().computed) == 1
    assert registry.get_sample_value("monitor_bucket_failures") == 1


def test_a_pass_is_bounded_in_time(
    bucket: FakeS3,
    monitor: tuple[Cycle, CollectorRegistry],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "ROUND_BYTES", 1)
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(cycle.time, "monotonic", lambda: next(clock))
    for number in range(5):
        bucket.objects[put(bucket, number)] = file_of(number)
    watching, _ = monitor
    watching.run()
    assert 0 < len(bucket.reads) < 5


def test_a_pass_that_is_reported_to_stop_fetches_no_more(
    store: Store, bucket: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_client", lambda: bucket)
    for number in range(5):
        put(bucket, number)
    config = Config(store.root, (Model("m"),), buckets=(ADDRESS,))
    watching = Cycle(config, store, lambda: len(bucket.reads) >= 2)
    with pytest.raises(StoppedError):
        watching.run()
    assert len(bucket.reads) == 2
