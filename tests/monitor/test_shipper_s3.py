"""The S3 sink against botocore's stub, which checks calls by the API's own model."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import exceptions as faults
from botocore.config import Config
from botocore.stub import ANY, Stubber
from log_shipper.addresses import S3Address
from log_shipper.finished_file import FinishedFile
from log_shipper.s3_sink import S3Sink
from log_shipper.sink import Refusal, RefusedError, Retry, UnavailableError

from tests.support.log_shipping import Answer, content, finished, receiver

NAME = "predictions-pod-1-20251129T070000-7-000001.jsonl.gz"
KEY = f"logs/prod/landing/date=2025-11-29/{NAME}"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FinishedFile]:
    with FinishedFile(finished(tmp_path, 1, rows=500)) as opened:
        yield opened


@pytest.fixture(scope="module")
def client() -> Any:
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLE00", "secret")
    return session.create_client("s3", region_name="us-east-1")


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as found:
        yield found
        found.assert_no_pending_responses()


@pytest.fixture
def sink(client: Any) -> S3Sink:
    return S3Sink(S3Address("bucket", "logs/prod/"), 5, lambda _: client)


def put(file: FinishedFile) -> dict[str, Any]:
    """The call that is expected."""
    return {
        "Bucket": "bucket",
        "Key": KEY,
        "Body": ANY,
        "ContentLength": file.compressed_bytes,
        "ContentType": "application/gzip",
        "ChecksumSHA256": base64.b64encode(file.sha256).decode(),
        "Metadata": {
            "content-sha256": hashlib.sha256(content(1, 500)).hexdigest(),
        },
        "IfNoneMatch": "*",
    }


def test_a_file_is_put_once(sink: S3Sink, stub: Stubber, file: FinishedFile) -> None:
    stub.add_response("put_object", {}, put(file))
    sink.send(file)


def test_protected_attributes_have_a_folder_of_their_own(
    sink: S3Sink, stub: Stubber, tmp_path: Path
) -> None:
    """A role can be given the other one alone."""
    with FinishedFile(finished(tmp_path, 1, rows=500, prefix="protected")) as file:
        key = KEY.replace("/landing/", "/protected/").replace(
            "predictions", "protected"
        )
        stub.add_response("put_object", {}, put(file) | {"Key": key})
        sink.send(file)


@pytest.mark.parametrize("same", [True, False])
def test_a_name_that_is_there_is_compared(
    sink: S3Sink, stub: Stubber, file: FinishedFile, same: bool
) -> None:
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    digest = file.content_sha256 if same else "0" * 64
    stub.add_response(
        "head_object",
        {"Metadata": {"content-sha256": digest}},
        {"Bucket": "bucket", "Key": KEY},
    )
    if same:
        sink.send(file)
        return
    with pytest.raises(RefusedError, match="other content") as caught:
        sink.send(file)
    assert caught.value.refusal is Refusal.CONFLICT


def test_an_object_of_somebody_else_is_not_taken_for_ours(
    sink: S3Sink, stub: Stubber, file: FinishedFile
) -> None:
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_response("head_object", {"Metadata": {}})
    with pytest.raises(RefusedError):
        sink.send(file)


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("SlowDown", Retry.BUSY),
        ("InternalError", Retry.BUSY),
        ("AccessDenied", Retry.UNAUTHORIZED),
        ("ExpiredToken", Retry.UNAUTHORIZED),
        ("NoSuchBucket", Retry.STATUS),
        ("ConditionalRequestConflict", Retry.STATUS),
    ],
)
def test_errors_of_s3_are_tried_again(
    sink: S3Sink, stub: Stubber, file: FinishedFile, code: str, retry: Retry
) -> None:
    stub.add_client_error("put_object", code)
    with pytest.raises(UnavailableError, match=code) as caught:
        sink.send(file)
    assert caught.value.retry is retry
    assert "s3://bucket/logs/prod/" in str(caught.value)


def test_a_role_that_may_only_write_takes_its_own_name_for_sent(
    sink: S3Sink, stub: Stubber, file: FinishedFile
) -> None:
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_client_error("head_object", "403", http_status_code=403)
    sink.send(file)
    stub.assert_no_pending_responses()


def test_a_comparison_that_fails_is_tried_again(
    sink: S3Sink, stub: Stubber, file: FinishedFile
) -> None:
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_client_error("head_object", "503", http_status_code=503)
    with pytest.raises(UnavailableError):
        sink.send(file)


def test_too_large_a_file_is_refused(
    sink: S3Sink, stub: Stubber, file: FinishedFile
) -> None:
    stub.add_client_error("put_object", "EntityTooLarge")
    with pytest.raises(RefusedError) as caught:
        sink.send(file)
    assert caught.value.refusal is Refusal.TOO_LARGE


@pytest.mark.parametrize(
    ("fault", "retry"),
    [
        (faults.NoCredentialsError(), Retry.UNAUTHORIZED),
        (faults.EndpointConnectionError(endpoint_url="e"), Retry.CONNECTION),
        (faults.ConnectTimeoutError(endpoint_url="e"), Retry.TIMEOUT),
        (faults.ReadTimeoutError(endpoint_url="e"), Retry.TIMEOUT),
        (faults.ConnectionClosedError(endpoint_url="e"), Retry.CONNECTION),
        (faults.SSLError(endpoint_url="e", error=OSError("x")), Retry.TLS),
    ],
)
def test_faults_before_an_answer_are_tried_again(
    file: FinishedFile, fault: Exception, retry: Retry
) -> None:
    def fails(_: Config) -> Any:
        raise fault

    with pytest.raises(UnavailableError) as caught:
        S3Sink(S3Address("bucket", ""), 5, fails).send(file)
    assert caught.value.retry is retry


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with credentials, and nothing of this machine's own."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE00")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    return monkeypatch


def test_on_the_wire_it_is_one_plain_put(
    account: pytest.MonkeyPatch, file: FinishedFile
) -> None:
    busy = Answer(503, {"Retry-After": "7"}, "<Error><Code>SlowDown</Code></Error>")
    with receiver(busy) as server:
        account.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.port}")
        sink = S3Sink(S3Address("bucket", "logs/prod/"), 5)
        with pytest.raises(UnavailableError) as caught:
            sink.send(file)
        assert (caught.value.retry, caught.value.retry_after) == (Retry.BUSY, 7)
        sink.send(file)
    path, headers = server.requests[1]
    assert path == "/bucket/" + KEY.replace("=", "%3D")
    assert headers["if-none-match"] == "*"
    assert headers["x-amz-meta-content-sha256"] == file.content_sha256
    assert "/eu-west-1/s3/aws4_request" in headers["authorization"]
    assert "content-encoding" not in headers
    (stored,) = server.stored.values()
    assert gzip.decompress(stored) == content(1, 500)
    assert len(server.requests) == 2, "botocore itself tries no second time"


def test_without_credentials_it_is_tried_again(
    account: pytest.MonkeyPatch, file: FinishedFile
) -> None:
    account.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UnavailableError, match="credentials") as caught:
        S3Sink(S3Address("bucket", ""), 5).send(file)
    assert caught.value.retry is Retry.UNAUTHORIZED
