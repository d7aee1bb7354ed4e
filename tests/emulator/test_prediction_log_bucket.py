"""The prediction log in an emulated S3: what the shipper writes the monitor reads."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_shipper.addresses import parse
from log_shipper.finished_file import FinishedFile
from log_shipper.s3_sink import S3Sink
from log_shipper.sink import RefusedError
from model_monitor.buckets.address import address
from model_monitor.buckets.log import BucketLog
from model_monitor.store import Limits, Store, ingest

from tests.support.aws import emulators
from tests.support.aws.account import Account
from tests.support.monitor_records import NOW, prediction

REGION = "eu-central-1"
PLACE = "s3://predictions/employment"
FILE = "predictions-pod-1-20261129T070000-7-000001.jsonl"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    logs = tmp_path_factory.mktemp("emulators")
    with emulators.running("123456789012", REGION, logs) as endpoints:
        found = Account(endpoints, REGION)
        found.client("s3").create_bucket(
            Bucket="predictions",
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        yield found


@pytest.fixture(autouse=True)
def environment(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pod with a role has in its environment."""
    for name, value in {
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": account.endpoints.moto,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
    }.items():
        monkeypatch.setenv(name, value)


def ship(folder: Path, *ids: str) -> None:
    path = folder / FILE
    lines = [json.dumps(prediction(id=it)) + "\n" for it in ids]
    path.write_text("".join(lines))
    place = parse(PLACE)
    with FinishedFile(path) as file:
        S3Sink(place, timeout_seconds=60).send(file)  # type: ignore[arg-type]


def test_what_is_shipped_is_read_once(account: Account, tmp_path: Path) -> None:
    ship(tmp_path, "a", "b")
    ship(tmp_path, "a", "b")
    with pytest.raises(RefusedError, match="other content"):
        ship(tmp_path, "c")
    today = dt.datetime.now(dt.UTC).date()
    with Store(tmp_path / "store").opened() as store:
        log = BucketLog(store, address(PLACE), Limits())
        assert log.fetch(today).files == 1
        found = ingest(store, now=lambda: NOW)
        assert (found.files, found.records["employment"]) == ({"ingested": 1}, 2)
        assert log.fetch(today).files == 0
    listed = account.client("s3").list_objects_v2(Bucket="predictions")["Contents"]
    (key,) = [it["Key"] for it in listed]
    assert key == f"employment/landing/date={today}/{FILE}.gz"
