"""The account that the emulators play, as boto3 sees it."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config

from tests.support.aws.emulators import Endpoints

ATTEMPTS = 1
TIMEOUT_SECONDS = 60


class Account:
    """Clients of one account and region; botocore checks each call's parameters."""

    def __init__(self, endpoints: Endpoints, region: str) -> None:
        self.endpoints = endpoints
        self.id = endpoints.account
        self.region = region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        # Never the user's own: these reach no one but the emulators.
        self._session = boto3.Session(
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",
            region_name=region,
        )

    def client(self, service: str) -> Any:
        """boto3's client of a service, on the emulator that plays it."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    endpoint_url=self.endpoints.url(service),
                    config=Config(
                        retries={"total_max_attempts": ATTEMPTS},
                        read_timeout=TIMEOUT_SECONDS,
                        connect_timeout=TIMEOUT_SECONDS,
                        max_pool_connections=32,
                        proxies={},
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[service]

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        """`arn:aws:<service>:<region>:<account>:<resource>`."""
        where = self.region if region else ""
        return f"arn:aws:{service}:{where}:{self.id}:{resource}"
