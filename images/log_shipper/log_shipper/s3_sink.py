"""Sends files to a bucket, by conditional puts."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
from botocore import exceptions as faults
from botocore.config import Config

from log_shipper import names
from log_shipper.addresses import S3Address
from log_shipper.backoff import retry_after
from log_shipper.finished_file import FinishedFile
from log_shipper.sink import Refusal, RefusedError, Retry, UnavailableError

DIGEST = "content-sha256"
"""Metadata of an object: SHA-256 of the uncompressed content, hexadecimal."""

RETRIED: Mapping[str, Retry] = {
    **dict.fromkeys(("SlowDown", "ServiceUnavailable", "RequestTimeout"), Retry.BUSY),
    **dict.fromkeys(("429", "503", "InternalError"), Retry.BUSY),
    **dict.fromkeys(("AccessDenied", "403", "ExpiredToken"), Retry.UNAUTHORIZED),
    **dict.fromkeys(("InvalidAccessKeyId", "InvalidToken"), Retry.UNAUTHORIZED),
    "SignatureDoesNotMatch": Retry.UNAUTHORIZED,
}
"""Reaction by the error code of S3's response; all others are Retry.STATUS."""
FAULTS: tuple[tuple[type[Exception], Retry], ...] = (
    (faults.ConnectTimeoutError, Retry.TIMEOUT),
    (faults.ReadTimeoutError, Retry.TIMEOUT),
    (faults.SSLError, Retry.TLS),
    (faults.HTTPClientError, Retry.CONNECTION),
    (faults.EndpointConnectionError, Retry.CONNECTION),
)
"""Faults before an answer; of all others, most are missing credentials."""


class S3Sink:
    """PutObject with If-None-Match, so that no object is ever overwritten.

    Keys have the day, so that a reader finds what is new without listing all.
    Needs s3:PutObject and s3:GetObject below the prefix. Credentials come by
    botocore's usual chain: environment, web identity (IRSA), EKS Pod Identity.
    """

    def __init__(
        self,
        address: S3Address,
        timeout_seconds: float,
        client: Callable[[Config], Any] | None = None,
    ) -> None:
        """client: makes botocore's client by a configuration; tests give their own."""
        self._address = address
        self._config = Config(
            connect_timeout=timeout_seconds,
            read_timeout=timeout_seconds,
            # The shipper itself tries again, and counts.
            retries={"total_max_attempts": 1},
            # The digest below is the checksum; no second one is computed.
            request_checksum_calculation="when_required",
        )
        self._make = client or _client
        self._client: Any = None

    def send(self, file: FinishedFile) -> None:
        folder = names.folder_in_bucket(file.name)
        key = f"{self._address.prefix}{folder}/date={file.day}/{file.name}"
        try:
            if self._client is None:
                self._client = self._make(self._config)
            self._put(key, file)
        except faults.ClientError as error:
            raise self._judged(error) from error
        except (faults.BotoCoreError, OSError) as error:
            retry = _retry(error)
            raise UnavailableError(retry, f"{self._shown(key)}: {error}") from error

    def _put(self, key: str, file: FinishedFile) -> None:
        try:
            self._client.put_object(
                Bucket=self._address.bucket,
                Key=key,
                Body=file.compressed(),
                ContentLength=file.compressed_bytes,
                ContentType="application/gzip",
                ChecksumSHA256=base64.b64encode(file.sha256).decode(),
                Metadata={DIGEST: file.content_sha256},
                IfNoneMatch="*",
            )
        except faults.ClientError as error:
            if _code(error) not in {"PreconditionFailed", "412"}:
                raise
            self._compare(key, file)

    def _compare(self, key: str, file: FinishedFile) -> None:
        """Raise RefusedError unless the object of this key has the same content.

        A role that may only write cannot look. Then the name decides: pod, time,
        process and number are in it, so the object is an earlier try of this file.
        """
        try:
            found = self._client.head_object(Bucket=self._address.bucket, Key=key)
        except faults.ClientError as error:
            if _code(error) in FORBIDDEN:
                return
            raise
        if found["Metadata"].get(DIGEST) != file.content_sha256:
            reason = f"{self._shown(key)} is there with other content"
            raise RefusedError(Refusal.CONFLICT, reason)

    def _judged(self, error: faults.ClientError) -> Exception:
        """Return what an answer of S3's means."""
        code = _code(error)
        reason = f"{self._shown(self._address.prefix)}: {error}"
        if code == "EntityTooLarge":
            return RefusedError(Refusal.TOO_LARGE, reason)
        metadata = error.response.get("ResponseMetadata", {})
        asked = retry_after(metadata.get("HTTPHeaders", {}).get("retry-after"))
        return UnavailableError(RETRIED.get(code, Retry.STATUS), reason, asked)

    def _shown(self, key: str) -> str:
        return f"s3://{self._address.bucket}/{key}"


FORBIDDEN = {"403", "AccessDenied", "Forbidden"}
"""Codes of a HEAD without the right to read; it has no body that says more."""


def _client(config: Config) -> Any:
    # botocore reads AWS_DEFAULT_REGION only; EKS may set AWS_REGION alone.
    session = botocore.session.get_session()
    region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
    return session.create_client("s3", region_name=region, config=config)


def _code(error: faults.ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _retry(error: Exception) -> Retry:
    for kind, retry in FAULTS:
        if isinstance(error, kind):
            return retry
    return Retry.UNAUTHORIZED
