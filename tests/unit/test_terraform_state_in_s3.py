"""Terraform's state in S3 and at other addresses, and what is said where it fails."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from tests.unit.test_terraform_state import (
    STATE,
    provider,
    refusal,
    user_arguments,
)


class S3:
    """Answers as boto3's client does, or refuses."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.asked: list[dict[str, str]] = []

    def get_object(self, **arguments: str) -> dict[str, Any]:
        self.asked.append(arguments)
        if isinstance(self.answer, Exception):
            raise self.answer
        body = io.BytesIO(self.answer)
        return {"Body": body, "ContentLength": len(self.answer)}


def test_a_state_in_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = S3(json.dumps(STATE).encode())
    monkeypatch.setattr(boto3, "client", lambda _: bucket)
    assert user_arguments(provider(path="s3://states/env/prod.tfstate"))[5] == "prod"
    assert bucket.asked == [{"Bucket": "states", "Key": "env/prod.tfstate"}]


@pytest.mark.parametrize(
    ("error", "reason", "fix"),
    [
        (
            ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject"),
            "S3 did not return it (AccessDenied)",
            "kms:Decrypt",
        ),
        (
            ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject"),
            "(NoSuchKey)",
            "env:/<workspace>/<key>",
        ),
        (NoCredentialsError(), "(NoCredentialsError)", "get-caller-identity"),
    ],
)
def test_s3_refuses(
    error: Exception, reason: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "client", lambda _: S3(error))
    _, said_reason, said_fix = refusal(path="s3://states/env/prod.tfstate")
    assert reason in said_reason
    assert fix in said_fix


@pytest.mark.parametrize(
    "path", ["s3://states", "s3:///key", "https://host/state", "gs://bucket/key"]
)
def test_other_addresses_are_refused(path: str) -> None:
    assert refusal(path=path)[0] == "cluster.terraform.path"
