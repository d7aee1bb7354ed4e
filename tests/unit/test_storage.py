"""Buckets, keys and image repositories as plain data."""

from __future__ import annotations

import functools
import json
from typing import Any

import pulumi
import pytest

from components.cluster.iam.arns import Arns
from components.cluster.storage import storage_names
from components.cluster.storage.bucket import BucketArgs, SecureBucket
from components.cluster.storage.storage import ModelStorage
from components.cluster.storage.storage_settings import StorageSettings
from components.settings import parse
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered
from tests.support.aws_rendered import ARNS, CLUSTER, name_of, of_kind, rendered

PURPOSES = ("models", "predictions", "access")
ENCRYPTED = ("models", "predictions")
STATEFUL = {
    "aws:s3/bucket:Bucket",
    "aws:kms/key:Key",
    "aws:kms/alias:Alias",
    "aws:ecr/repository:Repository",
}


@functools.cache
def _storage(text: str) -> Rendered:
    settings = parse(StorageSettings, json.loads(text), "test")

    def program() -> None:
        made = ModelStorage("storage", settings, cluster=CLUSTER, arns=ARNS)
        pulumi.export("models", {"name": made.model_bucket.name})
        pulumi.export("log", {"arn": made.log_bucket.arn})
        pulumi.export("key", made.key_arn)

    return rendered(program)


def storage(**config: Any) -> Rendered:
    config.setdefault("repositories", ["employment"])
    return _storage(json.dumps(config))


def of_bucket(found: Rendered, kind: str, purpose: str) -> Resource:
    """The one setting of that type of one of the buckets."""
    (resource,) = [
        r
        for r in of_kind(found, f"s3/{kind[:1].lower()}{kind[1:]}:{kind}").values()
        if r.inputs["bucket"] == f"storage-{purpose}-id"
    ]
    return resource


def bucket(found: Rendered, purpose: str) -> Resource:
    return of_kind(found, "s3/bucket:Bucket")[f"storage-{purpose}"]


def policy(found: Rendered, purpose: str) -> dict[str, dict[str, Any]]:
    """Statements of a bucket's policy by their ids."""
    text = of_bucket(found, "BucketPolicy", purpose).inputs["policy"]
    return {s["Sid"]: s for s in json.loads(text)["Statement"]}


def rules(found: Rendered, purpose: str) -> dict[str, dict[str, Any]]:
    """Rules of a bucket's lifecycle by their ids."""
    made = of_bucket(found, "BucketLifecycleConfiguration", purpose).inputs["rules"]
    assert all(rule["status"] == "Enabled" for rule in made)
    assert all(rule["filter"] == {"prefix": ""} for rule in made)
    return {rule["id"]: rule for rule in made}


def test_the_buckets_names_have_account_and_region() -> None:
    names = {
        r.inputs["bucket"] for r in of_kind(storage(), "s3/bucket:Bucket").values()
    }
    assert names == {f"prod-{p}-111122223333-eu-central-1" for p in PURPOSES}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_bucket_is_closed_and_keeps_versions(purpose: str) -> None:
    found = storage()
    block = of_bucket(found, "BucketPublicAccessBlock", purpose).inputs
    for what in (
        "blockPublicAcls",
        "blockPublicPolicy",
        "ignorePublicAcls",
        "restrictPublicBuckets",
    ):
        assert block[what] is True
    owner = of_bucket(found, "BucketOwnershipControls", purpose).inputs["rule"]
    assert owner == {"objectOwnership": "BucketOwnerEnforced"}
    versions = of_bucket(found, "BucketVersioning", purpose).inputs
    assert versions["versioningConfiguration"] == {"status": "Enabled"}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_nothing_is_done_with_a_bucket_without_tls(purpose: str) -> None:
    arn = f"arn:aws:s3:::prod-{purpose}-111122223333-eu-central-1"
    found = policy(storage(), purpose)
    for sid, condition in (
        ("DenyWithoutTls", {"Bool": {"aws:SecureTransport": ["false"]}}),
        ("DenyOldTls", {"NumericLessThan": {"s3:TlsVersion": ["1.2"]}}),
    ):
        statement = found[sid]
        assert statement["Effect"] == "Deny"
        assert statement["Principal"] == {"AWS": ["*"]}
        assert statement["Action"] == ["s3:*"]
        assert statement["Resource"] == [arn, f"{arn}/*"]
        assert statement["Condition"] == condition


@pytest.mark.parametrize("purpose", PURPOSES)
def test_no_policy_lets_everybody_in(purpose: str) -> None:
    for statement in policy(storage(), purpose).values():
        assert (statement["Effect"] == "Deny") == ("AWS" in statement["Principal"])


@pytest.mark.parametrize("purpose", ENCRYPTED)
def test_models_and_predictions_are_encrypted_by_the_clusters_key(purpose: str) -> None:
    found = storage()
    kind = "BucketServerSideEncryptionConfiguration"
    (rule,) = of_bucket(found, kind, purpose).inputs["rules"]
    assert rule == {
        "applyServerSideEncryptionByDefault": {
            "sseAlgorithm": "aws:kms",
            "kmsMasterKeyId": "arn:aws:kms:::storage-data",
        },
        "bucketKeyEnabled": True,
    }
    denied = policy(found, purpose)["DenyOtherEncryption"]
    header = "s3:x-amz-server-side-encryption"
    assert denied["Condition"] == {
        "Null": {header: ["false"]},
        "StringNotEquals": {header: ["aws:kms"]},
    }


def test_access_logs_are_in_a_bucket_that_s3_can_write_to() -> None:
    """S3 cannot deliver them where a KMS key encrypts."""
    found = storage()
    kind = "BucketServerSideEncryptionConfiguration"
    (rule,) = of_bucket(found, kind, "access").inputs["rules"]
    default = rule["applyServerSideEncryptionByDefault"]
    assert default == {"sseAlgorithm": "AES256"}
    assert "DenyOtherEncryption" not in policy(found, "access")
    writes = policy(found, "access")["S3WritesAccessLogs"]
    assert writes["Principal"] == {"Service": ["logging.s3.amazonaws.com"]}
    assert writes["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ["111122223333"]},
        "ArnEquals": {
            "aws:SourceArn": [
                f"arn:aws:s3:::prod-{p}-111122223333-eu-central-1" for p in ENCRYPTED
            ]
        },
    }


@pytest.mark.parametrize("purpose", ENCRYPTED)
def test_who_reads_and_writes_a_bucket_is_recorded(purpose: str) -> None:
    found = storage()
    logging = of_bucket(found, "BucketLogging", purpose)
    assert logging.inputs["targetBucket"] == "prod-access-111122223333-eu-central-1"
    own = f"prod-{purpose}-111122223333-eu-central-1/"
    assert logging.inputs["targetPrefix"] == own
    after = {name_of(urn) for urn in logging.depends_on if "bucketPolicy" in urn}
    assert after == {"storage-access"}
    assert len(of_kind(found, "s3/bucketLogging:BucketLogging")) == len(ENCRYPTED)


def test_models_stay_and_their_old_versions_go() -> None:
    found = rules(storage(models={"noncurrent_days": 33}), "models")
    assert set(found) == {"retention", "incomplete-uploads"}
    assert found["retention"]["expiration"] == {"expiredObjectDeleteMarker": True}
    old = found["retention"]["noncurrentVersionExpiration"]
    assert old == {"noncurrentDays": 33}
    uploads = found["incomplete-uploads"]["abortIncompleteMultipartUpload"]
    assert uploads == {"daysAfterInitiation": 7}


def test_predictions_go_after_their_retention() -> None:
    config = {"retention_days": 180, "infrequent_after_days": 45, "noncurrent_days": 3}
    found = rules(storage(prediction_log=config), "predictions")
    assert found["retention"]["expiration"] == {"days": 180}
    old = found["retention"]["noncurrentVersionExpiration"]
    assert old == {"noncurrentDays": 3}
    (move,) = found["infrequent-access"]["transitions"]
    assert move == {"days": 45, "storageClass": "STANDARD_IA"}
    assert "infrequent-access" not in rules(storage(), "predictions")


def test_access_logs_go_after_their_retention() -> None:
    found = rules(storage(access_log_days=12), "access")
    assert found["retention"]["expiration"] == {"days": 12}


def test_what_holds_data_is_protected() -> None:
    found = storage()
    stateful = [r for r in found.resources if r.type in STATEFUL]
    assert {r.type for r in stateful} == STATEFUL
    assert all(r.protect for r in stateful)
    for name in PURPOSES:
        assert bucket(found, name).inputs["forceDestroy"] is False
    for repository in of_kind(found, "ecr/repository:Repository").values():
        assert repository.inputs["forceDelete"] is False
    for key in of_kind(found, "kms/key:Key").values():
        assert key.inputs["deletionWindowInDays"] == 30


def test_without_protection_a_destroy_can_end() -> None:
    found = storage(protect=False)
    assert not any(r.protect for r in found.resources)
    for name in PURPOSES:
        assert bucket(found, name).inputs["forceDestroy"] is True
    for repository in of_kind(found, "ecr/repository:Repository").values():
        assert repository.inputs["forceDelete"] is True
    for key in of_kind(found, "kms/key:Key").values():
        assert key.inputs["deletionWindowInDays"] == 7


def test_keys_rotate_and_obey_the_account_only() -> None:
    found = storage()
    keys = of_kind(found, "kms/key:Key")
    assert set(keys) == {"storage-data", "storage-images"}
    for key in keys.values():
        assert key.inputs["enableKeyRotation"] is True
        (statement,) = json.loads(key.inputs["policy"])["Statement"]
        root = "arn:aws:iam::111122223333:root"
        assert statement["Principal"] == {"AWS": [root]}
        assert not any("*" in action for action in statement["Action"])
    aliases = {
        a.inputs["name"]: a.inputs["targetKeyId"]
        for a in of_kind(found, "kms/alias:Alias").values()
    }
    assert aliases == {
        "alias/prod-data": "storage-data-id",
        "alias/prod-images": "storage-images-id",
    }


def test_an_image_repository_keeps_its_tags_and_the_newest_images() -> None:
    found = storage(keep_images=20, untagged_image_days=3)
    (made,) = of_kind(found, "ecr/repository:Repository").values()
    assert made.inputs["name"] == "prod/employment"
    assert made.inputs["imageTagMutability"] == "IMMUTABLE"
    assert made.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made.inputs["encryptionConfigurations"] == [
        {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:::storage-images"}
    ]
    (lifecycle,) = of_kind(found, "ecr/lifecyclePolicy:LifecyclePolicy").values()
    assert lifecycle.inputs["repository"] == "prod/employment"
    untagged, tagged = json.loads(lifecycle.inputs["policy"])["rules"]
    assert untagged["selection"] == {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 3,
    }
    assert tagged["selection"] == {
        "tagStatus": "tagged",
        "tagPatternList": ["*"],
        "countType": "imageCountMoreThan",
        "countNumber": 20,
    }
    assert untagged["rulePriority"] < tagged["rulePriority"]


def test_without_repositories_there_is_no_key_for_images() -> None:
    found = storage(repositories=[])
    assert of_kind(found, "ecr/repository:Repository") == {}
    assert set(of_kind(found, "kms/key:Key")) == {"storage-data"}


def test_everything_that_bears_tags_says_whose_it_is() -> None:
    taggable = STATEFUL - {"aws:kms/alias:Alias"}
    for resource in storage().resources:
        if resource.type in taggable:
            assert resource.inputs["tags"]["slipway.dev/cluster"] == "prod"
            assert resource.inputs["tags"]["Name"]


def test_what_others_need_is_reported() -> None:
    outputs = storage().outputs
    assert outputs["models"] == {"name": "prod-models-111122223333-eu-central-1"}
    assert outputs["log"] == {"arn": "arn:aws:s3:::storage-predictions"}
    assert outputs["key"] == "arn:aws:kms:::storage-data"


def test_names_of_buckets_that_would_be_too_long_are_refused() -> None:
    # 63 characters less "-predictions-111122223333-eu-central-1".
    assert list(storage_names.problems("a" * 25, ARNS)) == []
    (problem,) = storage_names.problems("a" * 26, ARNS)
    assert problem.path == "cluster.name"
    assert problem.fix == "give at most 25 characters"
    far = Arns("111122223333", "ap-southeast-1")
    for purpose in storage_names.BUCKETS:
        assert len(storage_names.bucket("a" * 23, purpose, far)) <= 63
    assert list(storage_names.problems("a" * 23, far)) == []
    assert list(storage_names.problems("a" * 24, far)) != []


def test_a_bucket_with_a_key_that_it_does_not_use_is_a_mistake() -> None:
    args = BucketArgs("b", CLUSTER, ARNS, noncurrent_days=1, encrypted=False)
    with pytest.raises(ValueError, match="encrypted=True"):
        SecureBucket("b", args, key_arn="arn")
