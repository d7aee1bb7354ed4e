"""AWS's API for the doctor: read-only calls with short limits and clear errors.

Credentials are the usual ones (AWS_PROFILE, environment, SSO, instance role).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from slipway.redaction import redact

LONGEST_WHY = 300
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 4, 15, 2
READING = ("describe_", "get_", "list_", "simulate_", "head_")
"""Prefixes of the calls that the doctor may make."""
_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|NotAuthorized|AuthFailure")
_EXPIRED = re.compile(r"ExpiredToken|InvalidClientTokenId|UnrecognizedClient|Signature")
_THROTTLED = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded")

Client = Any
"""A client of boto3; its service is known only by name."""
logger = logging.getLogger("slipway.doctor")


class CannotAskError(Exception):
    """AWS gave no answer: why, what to do, and AWS's own code if it gave one."""

    def __init__(self, why: str, fix: str, code: str = "") -> None:
        self.why, self.fix, self.code = _short(redact(why)), redact(fix), code
        super().__init__(f"{self.why}; {self.fix}")


def _short(text: str) -> str:
    """Shorten to one line: an address that is not AWS may return a whole page."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_WHY else f"{line[:LONGEST_WHY]} ..."


class Account:
    """One account and region, queried through one client per service.

    `client` creates the client of a service: tests pass stubbed ones.
    """

    def __init__(
        self, region: str, client: Callable[[str], Client] | None = None
    ) -> None:
        self.region = region
        self._make = client or session_clients(region)
        self._clients: dict[str, Client] = {}

    def ask(self, service: str, call: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of one read-only call; CannotAskError if there is none."""
        if not call.startswith(READING):
            raise ValueError(f"{service}.{call} may change something")
        with AwsCall(service, call):
            method = getattr(self._client(service), call)
            answer: dict[str, Any] = method(**parameters)
            return answer

    def all(self, service: str, call: str, key: str, **parameters: Any) -> list[Any]:
        """Items under `key` of all pages."""
        if not call.startswith(READING):
            raise ValueError(f"{service}.{call} may change something")
        with AwsCall(service, call):
            client = self._client(service)
            if not client.can_paginate(call):
                return list(getattr(client, call)(**parameters).get(key) or ())
            pages = client.get_paginator(call).paginate(**parameters)
            return [item for page in pages for item in page.get(key) or ()]

    def _client(self, service: str) -> Client:
        if service not in self._clients:
            self._clients[service] = self._make(service)
        return self._clients[service]


def session_clients(region: str) -> Callable[[str], Client]:
    """Return a function that creates clients with the caller's credentials."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        user_agent_extra="slipway",
    )

    def make(service: str) -> Client:
        session = boto3.Session(region_name=region)
        return session.client(service, config=config)  # type: ignore[call-overload]

    return make


class AwsCall:
    """Convert boto3's errors to CannotAskError, and log each call."""

    def __init__(self, service: str, call: str) -> None:
        self.what = f"{service} {call}"
        self._start = time.monotonic()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        seconds = time.monotonic() - self._start
        logger.info("%s: %s (%.1f s)", self.what, error or "answered", seconds)
        if isinstance(error, exceptions.ClientError):
            raise of_answer(self.what, error.response) from None
        if isinstance(error, exceptions.BotoCoreError | ResponseParserError):
            raise of_library(self.what, error) from None


def of_answer(what: str, response: Mapping[str, Any]) -> CannotAskError:
    """Return the meaning of an error that AWS returned."""
    code = str(response.get("Error", {}).get("Code", ""))
    said = str(response.get("Error", {}).get("Message", "")) or code
    if _DENIED.search(code):
        service, _, call = what.partition(" ")
        action = f"{service}:{''.join(w.capitalize() for w in call.split('_'))}"
        why, fix = f"{code}: {said}", f"grant the caller's role {action}"
    elif _EXPIRED.search(code):
        why = f"the credentials are not accepted ({code})"
        fix = "sign in again: aws sso login, or set AWS_PROFILE"
    elif _THROTTLED.search(code):
        why, fix = (
            f"AWS throttles the requests of this account ({code})",
            "run it again",
        )
    else:
        why, fix = f"{what}: {code}: {said}", "see the text from AWS"
    return CannotAskError(why, fix, code)


def of_library(what: str, error: Exception) -> CannotAskError:
    """Return the meaning of an error before any response."""
    sign_in = "set AWS_PROFILE, or sign in: aws sso login"
    for kinds, why, fix in _BEFORE:
        if isinstance(error, kinds):
            return CannotAskError(f"{why} ({error})", fix or sign_in)
    return CannotAskError(f"{what}: {error}", "see the library's text")


_BEFORE: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    (
        (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.ProfileNotFound,
            exceptions.CredentialRetrievalError,
            exceptions.SSOError,
            exceptions.TokenRetrievalError,
        ),
        "there are no credentials",
        "",
    ),
    (
        (ResponseParserError,),
        "something other than AWS answers, such as a proxy",
        "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL",
    ),
    (
        (
            exceptions.HTTPClientError,
            exceptions.EndpointConnectionError,
            exceptions.ConnectionError,
        ),
        "AWS does not answer",
        "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL",
    ),
)


def pages(items: list[str], size: int) -> Iterator[list[str]]:
    """Slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
