"""The account that the emulators play, as boto3 sees it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.validate import ParamValidator

from tests.support.aws.emulators import Endpoints
from tests.support.aws.not_judged import CALLS

ATTEMPTS = 1
TIMEOUT_SECONDS = 300
"""For a machine with more to do than it can; an answer takes milliseconds."""
READING = ("Describe", "List", "Get", "Head")


@dataclass(frozen=True)
class Call:
    """One call that changes something, as it was sent."""

    operation: str
    """Such as `eks:CreateCluster`."""
    parameters: dict[str, Any]


class Account:
    """Clients of one account and region; botocore checks each call's parameters."""

    def __init__(
        self, endpoints: Endpoints, region: str, calls: list[Call] | None = None
    ) -> None:
        self.endpoints = endpoints
        self.id = endpoints.account
        self.region = region
        self.calls = [] if calls is None else calls
        """Every call that was to change something, refused ones too."""
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        # Never the user's own: these reach no one but the emulators.
        self._session: Any = boto3.Session(
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",
            region_name=region,
        )

    def client(self, service: str) -> Any:
        """boto3's client of a service on moto, by boto3's name for it."""
        return self._client(service, self.endpoints.moto)

    def rest(self, service: str) -> Any:
        """The same on ministack, for what moto does not have.

        EKS: add-ons, access entries, pod identities, all tags. EC2: placement groups.
        """
        return self._client(service, self.endpoints.ministack)

    def unjudged(self, service: str, operation: str, **parameters: Any) -> None:
        """A call that no emulator answers: its parameters are checked, no more."""
        name = f"{service}:{operation}"
        if name not in CALLS:
            raise NotImplementedError(f"{name} is not in not_judged.CALLS")
        shape = self.client(service).meta.service_model.operation_model(operation)
        report = ParamValidator().validate(parameters, shape.input_shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        self.calls.append(Call(name, parameters))

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        """`arn:aws:<service>:<region>:<account>:<resource>`."""
        where = self.region if region else ""
        return f"arn:aws:{service}:{where}:{self.id}:{resource}"

    def _client(self, service: str, url: str) -> Any:
        with self._lock:
            if (service, url) not in self._clients:
                client = self._session.client(
                    service,
                    endpoint_url=url,
                    config=Config(
                        retries={"total_max_attempts": ATTEMPTS},
                        read_timeout=TIMEOUT_SECONDS,
                        connect_timeout=TIMEOUT_SECONDS,
                        max_pool_connections=32,
                        proxies={},
                        s3={"addressing_style": "path"},
                    ),
                )
                client.meta.events.register("provide-client-params.*.*", self._note)
                self._clients[service, url] = client
            return self._clients[service, url]

    def _note(self, params: Any, model: Any, **_: Any) -> None:
        if not model.name.startswith(READING):
            operation = f"{model.service_model.service_name}:{model.name}"
            self.calls.append(Call(operation, dict(params)))
