"""The ledger of model versions in a bucket, as moto plays S3."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from slipway.ledger import chain
from slipway.ledger.bucket import BucketStore
from slipway.ledger.ledger import Ledger
from slipway.ledger.store import FolderStore, TakenError
from tests.support import ledgers
from tests.support.aws.emulators import running
from tests.support.ledgers import MODEL, TRUSTED, WORD
from toolchain.errors import OperatorError, WrongInputError

REGION = "eu-west-1"
PREFIX = "ledger/"
RETENTION = {"Mode": "COMPLIANCE", "Days": 3653}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("ledger")
    with running("111122223333", REGION, folder) as endpoints:
        yield boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=endpoints.moto,
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",
        )


def bucket(s3: Any, name: str, *, lock: bool = True) -> BucketStore:
    where = {"LocationConstraint": REGION}
    s3.create_bucket(
        Bucket=name, CreateBucketConfiguration=where, ObjectLockEnabledForBucket=lock
    )
    if lock:
        rule = {"DefaultRetention": RETENTION}
        s3.put_object_lock_configuration(
            Bucket=name,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
        )
    return BucketStore(s3, name, PREFIX)


def filled(store: BucketStore) -> Ledger:
    ledger = Ledger(store, ledgers.KEY)
    ledger.register(MODEL, "r1", ledgers.subject(), WORD)
    ledger.stage(MODEL, "r1", WORD)
    return ledger


def broken(store: BucketStore) -> str:
    return str(chain.read(store, MODEL, trusted=TRUSTED).broken)


def key(number: int) -> str:
    return f"{PREFIX}{MODEL}/{number:08}.json"


def test_a_chain_in_a_bucket(s3: Any, tmp_path: Path) -> None:
    store = bucket(s3, "chain")
    filled(store)
    assert store.models() == [MODEL]
    found = chain.read(store, MODEL, trusted=TRUSTED)
    assert found.broken is None
    assert len(found.entries) == 2
    # The same files as in a folder.
    for stored in store.read(MODEL):
        FolderStore(tmp_path).create(MODEL, stored.number, stored.content)
    copied = chain.read(FolderStore(tmp_path), MODEL, trusted=TRUSTED)
    assert copied.entries == found.entries
    (version,) = s3.list_object_versions(Bucket="chain", Prefix=key(1))["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="chain", Key=key(1), VersionId=version["VersionId"])


def test_a_number_is_taken_once(s3: Any) -> None:
    store = bucket(s3, "taken")
    store.create(MODEL, 1, b"first")
    with pytest.raises(TakenError):
        store.create(MODEL, 1, b"second")
    assert [it.content for it in store.read(MODEL)] == [b"first"]


def test_writers_at_once(s3: Any) -> None:
    store = bucket(s3, "writers")

    def register(number: int) -> None:
        ledger = Ledger(store, ledgers.KEY)
        ledger.register(MODEL, f"r{number}", ledgers.subject(), WORD)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(register, range(9)))
    found = chain.read(store, MODEL, trusted=TRUSTED)
    assert found.broken is None
    assert len(found.history.revisions) == 9


def test_a_hidden_entry_is_found_though_another_took_its_place(s3: Any) -> None:
    """The current view alone would show an intact, forged chain."""
    store = bucket(s3, "hidden")
    ledger = filled(store)
    s3.delete_object(Bucket="hidden", Key=key(2))
    assert f"s3://hidden/{key(2)}: " in broken(store)
    with pytest.raises(OperatorError, match="nothing was added"):
        ledger.stage(MODEL, "r1", WORD)
    s3.put_object(Bucket="hidden", Key=key(2), Body=b"forged", IfNoneMatch="*")
    assert f"s3://hidden/{key(2)}: " in broken(store)


def test_an_overwritten_entry_is_found(s3: Any) -> None:
    store = bucket(s3, "overwritten")
    filled(store)
    body = s3.get_object(Bucket="overwritten", Key=key(1))["Body"].read()
    s3.put_object(Bucket="overwritten", Key=key(1), Body=body)
    assert "entry 1 is there in several versions" in broken(store)


def test_a_foreign_object_and_a_long_one_are_found(s3: Any) -> None:
    store = bucket(s3, "foreign")
    filled(store)
    s3.put_object(Bucket="foreign", Key=key(3), Body=b"x" * (1 << 20) + b"x")
    assert "size: it is longer than 1048576 bytes" in broken(store)
    s3.put_object(Bucket="foreign", Key=f"{PREFIX}{MODEL}/a/b", Body=b"x")
    assert f"s3://foreign/{PREFIX}{MODEL}/a/b: name: " in broken(store)


def test_a_bucket_without_a_lock_is_refused(s3: Any) -> None:
    without = bucket(s3, "without", lock=False)
    with pytest.raises(OperatorError, match=r"GetObjectLockConfiguration was refused"):
        filled(without)
    weak = bucket(s3, "weak")
    rule = {"DefaultRetention": RETENTION | {"Mode": "GOVERNANCE"}}
    s3.put_object_lock_configuration(
        Bucket="weak",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    with pytest.raises(WrongInputError, match="no default retention in compliance"):
        filled(weak)
    assert weak.read(MODEL) == []
    with pytest.raises(OperatorError, match=r"s3://gone/ledger/: .* \(NoSuchBucket\)"):
        BucketStore(s3, "gone", PREFIX).read(MODEL)
