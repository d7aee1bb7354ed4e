"""boto3 clients that answer what a test says and refuse every other call."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.stub import Stubber

from slipway.account import Account, Client

REGION = "us-east-1"
_SESSION = boto3.Session("AKIAEXAMPLEEXAMPLE00", "secret", region_name=REGION)


class Stubbed:
    """An account whose answers are given beforehand, in order for each service.

    Answers are checked against the API's own model, and so are the parameters asked.
    """

    def __init__(self) -> None:
        self._stubbers: dict[str, Stubber] = {}
        self._clients: dict[str, Client] = {}

    @property
    def account(self) -> Account:
        return Account(REGION, self.client)

    def client(self, service: str) -> Client:
        if service not in self._clients:
            client = _SESSION.client(service)  # type: ignore[call-overload]
            self._clients[service] = client
            self._stubbers[service] = Stubber(client)
            self._stubbers[service].activate()
        return self._clients[service]

    def says(
        self, service: str, call: str, answer: dict[str, Any], **parameters: Any
    ) -> None:
        """The next answer of the service; parameters that are given must be asked."""
        self.client(service)
        wanted = parameters or None
        self._stubbers[service].add_response(call, answer, wanted)

    def refuses(
        self, service: str, call: str, code: str = "AccessDenied", message: str = "no"
    ) -> None:
        """The next answer of the service is an error."""
        self.client(service)
        self._stubbers[service].add_client_error(call, code, message)

    def all_asked(self) -> None:
        """AssertionError if an answer was not asked for."""
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()
