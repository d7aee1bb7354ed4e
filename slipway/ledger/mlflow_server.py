"""The model registry of an MLflow tracking server, by its REST API.

https://mlflow.org/docs/latest/rest-api.html; the shapes are those of
mlflow/protos/model_registry.proto. The package `mlflow` is not needed.
"""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from slipway.printable import printable
from toolchain.errors import OperatorError, WrongInputError

API = "/api/2.0/mlflow/"
TIMEOUT_SECONDS = 10.0
"""For a connection, and for the next bytes of an answer."""
ANSWER_SECONDS = 60.0
ANSWER_BYTES = 64 << 20
PAGE_VERSIONS = 1000
PAGES = 100
SAID_CHARACTERS = 300
"""Length of the server's own text in an error."""
NAME, PASSWORD, TOKEN = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
"""Variables that MLflow's own client reads too."""
CREDENTIALS = f"{NAME} and {PASSWORD}, or {TOKEN}"
NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"


class MlflowError(OperatorError):
    """The server cannot be reached, refuses the request, or answers something else."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    number: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Bearer(httpx.Auth):
    """A token in the header `authorization`."""

    token: str = field(repr=False)

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["authorization"] = f"Bearer {self.token}"
        yield request


class MlflowServer:
    """The registry at an address, with the credentials of the environment."""

    def __init__(self, address: str, *, timeout: float | None = None) -> None:
        self.address = checked_address(address)
        self._client = httpx.Client(
            base_url=self.address + API,
            timeout=timeout or TIMEOUT_SECONDS,
            auth=credentials(),
            # A proxy of the environment must not see requests to loopback.
            trust_env=not _is_loopback(self.address),
        )

    def __str__(self) -> str:
        return self.address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def aliases(self, model: str) -> dict[str, str]:
        """Version numbers by alias; MlflowError if there is no such model."""
        given = self._ask("GET", "registered-models/get", {"name": model})
        found = _listed(_object(given, "registered_model"), "aliases")
        return {_text(it, "alias"): _text(it, "version") for it in found}

    def version(self, model: str, number: str) -> Version:
        """One version; MlflowError if there is none."""
        asked = {"name": model, "version": number}
        given = self._ask("GET", "model-versions/get", asked)
        return _version(_object(given, "model_version"))

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, page by page; none if there is no such model.

        Answers of this search have tags, and never aliases (seen with MLflow 3.17.2).
        """
        asked: dict[str, Any] = {
            "filter": f"name='{model}'",
            "max_results": PAGE_VERSIONS,
        }
        found: list[Version] = []
        for _ in range(PAGES):
            given = self._ask("GET", "model-versions/search", asked)
            found += [_version(it) for it in _listed(given, "model_versions")]
            token = given.get("next_page_token")
            if not token:
                return found
            asked["page_token"] = token
        raise MlflowError(
            f"{self}: {model} has more than {PAGES * PAGE_VERSIONS} versions; "
            "delete old ones in MLflow"
        )

    def set_alias(self, model: str, alias: str, number: str) -> None:
        body = {"name": model, "alias": alias, "version": number}
        self._ask("POST", "registered-models/alias", body)

    def delete_alias(self, model: str, alias: str) -> None:
        body = {"name": model, "alias": alias}
        self._ask("DELETE", "registered-models/alias", body)

    def set_tag(self, model: str, number: str, key: str, value: str) -> None:
        body = {"name": model, "version": number, "key": key, "value": value}
        self._ask("POST", "model-versions/set-tag", body)

    def _ask(self, method: str, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """The JSON of an answer; MlflowError for any but 200."""
        part = {"params": content} if method == "GET" else {"json": content}
        try:
            with self._client.stream(method, path, **part) as answer:  # type: ignore[arg-type]
                text = self._read(answer, path)
        except httpx.TimeoutException:
            raise MlflowError(
                f"{self}: {path} was not answered in {self._client.timeout.read:g} s; "
                "see the server's log, and whether a proxy stands before it"
            ) from None
        except httpx.HTTPError as error:
            raise MlflowError(
                f"{self}: it cannot be reached ({error or type(error).__name__}); "
                "check the address, and that the server runs"
            ) from None
        if answer.status_code != httpx.codes.OK:
            raise MlflowError(f"{self}: {path}: {_refusal(answer, text)}")
        given = _json(text)
        if given is None:
            raise MlflowError(
                f"{self}: {path} was answered with no JSON object; give MLflow's "
                "address, with its path if it has one"
            )
        return given

    def _read(self, answer: httpx.Response, path: str) -> bytes:
        text, until = bytearray(), time.monotonic() + ANSWER_SECONDS
        for piece in answer.iter_bytes():
            text += piece
            if len(text) > ANSWER_BYTES or time.monotonic() > until:
                raise MlflowError(
                    f"{self}: the answer to {path} has no end after "
                    f"{len(text)} bytes; see whether the address is MLflow's"
                )
        return bytes(text)


def checked_address(address: str) -> str:
    """The address without a slash at its end; WrongInputError if it is none."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.query:
        raise WrongInputError(
            f"--server: {printable(address.rpartition('@')[2])!r} is not the address "
            "of an MLflow server; give https://HOST[:PORT][/PATH]"
        )
    if url.userinfo:
        raise WrongInputError(
            f"--server: the address has credentials, which others could read; set "
            f"{CREDENTIALS}"
        )
    return str(url).rstrip("/")


def credentials() -> httpx.Auth | None:
    """As MLflow's client has them: a user's name and password go before a token."""
    name, password = os.environ.get(NAME), os.environ.get(PASSWORD)
    if name and password:
        return httpx.BasicAuth(name, password)
    token = os.environ.get(TOKEN)
    return Bearer(token) if token else None


def _is_loopback(address: str) -> bool:
    host = httpx.URL(address).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refusal(answer: httpx.Response, text: bytes) -> str:
    """Return the server's error, and the fix."""
    status, given = answer.status_code, _json(text) or {}
    code = str(given.get("error_code", ""))
    said = str(given.get("message", "")) or text.decode(errors="replace")
    said = printable(said.strip()[:SAID_CHARACTERS])
    if status == httpx.codes.UNAUTHORIZED:
        return f"401, the credentials are missing or wrong; set {CREDENTIALS}"
    if status == httpx.codes.FORBIDDEN:
        return (
            f"403 ({said}); with MLflow's basic-auth, reading needs READ on the "
            "registered model, setting an alias or a tag EDIT, deleting an alias "
            "MANAGE; a name for the server that it does not know needs its "
            "--allowed-hosts"
        )
    if answer.is_redirect:
        place = printable(answer.headers.get("location", "?")[:SAID_CHARACTERS])
        return (
            f"{status}, it sends callers on to {place}; give the address of MLflow "
            "itself, not that of a login page"
        )
    if status == httpx.codes.NOT_FOUND and code != NOT_FOUND:
        return (
            "404, there is no such API; give MLflow's address, with its path if it "
            "has one"
        )
    return f"{status} {code} ({said})" if code else f"{status} ({said})"


def _json(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _version(given: Any) -> Version:
    tags = {_text(it, "key"): _text(it, "value") for it in _listed(given, "tags")}
    return Version(_text(given, "version"), tags)


def _object(given: dict[str, Any], key: str) -> dict[str, Any]:
    found = given.get(key)
    return found if isinstance(found, dict) else _unreadable(key)


def _listed(given: Any, key: str) -> list[Any]:
    """A repeated field; MLflow leaves empty ones out."""
    found = given.get(key, []) if isinstance(given, dict) else None
    return found if isinstance(found, list) else _unreadable(key)


def _text(given: Any, key: str) -> str:
    """A text; an empty one is left out, and a number may stand for a version."""
    found = given.get(key, "") if isinstance(given, dict) else None
    return str(found) if isinstance(found, str | int) else _unreadable(key)


def _unreadable(key: str) -> Any:
    raise MlflowError(
        f"MLflow's answer has no readable `{key}`; the API 2.0 of MLflow 2.3 and "
        "later is needed"
    )
