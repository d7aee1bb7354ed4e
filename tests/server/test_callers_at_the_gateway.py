"""How a real Envoy divides callers between revisions by the rendered headers.

The hashed headers are those of the stack's policy, the salts those of the platform's.
That Envoy Gateway makes a hash policy and `use_hash_policy` of them was read in its
source, not run. The revisions are Envoy's own answers.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.test_copies_at_the_gateway import TYPE, address
from tests.server.test_streams_at_the_gateway import free_port, program
from tests.support import platform
from tests.support.kube import wait_until
from tests.unit.test_experiment_stack import render, spec

USER = "x-user-id"
REVISIONS = ("champion", "challenger")
USERS = 300
Headers = Mapping[str, str]


def hashed(salt: int) -> list[Any]:
    """Envoy's hash policy for the headers of the stack's policy."""
    rendered = render(assign_by={"header": USER, "salt": salt})
    policy = spec(rendered, "BackendTrafficPolicy", "employment-traffic")
    headers = policy["loadBalancer"]["consistentHash"]["headers"]
    return [{"header": {"header_name": it["name"]}} for it in headers]


def salts() -> dict[str, str]:
    """The constant headers that the gateway sets before it routes."""
    salted = platform.rendered(gateway={"experiment_salts": True})
    policy = platform.only(salted, "ClientTrafficPolicy", "slipway")["spec"]
    return {
        it["name"]: it["value"]
        for it in policy["headers"]["earlyRequestHeaders"]["set"]
    }


def listener(port: int, routes: list[Any]) -> dict[str, Any]:
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{TYPE}network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "experiment",
            "route_config": {
                "virtual_hosts": [{"name": "x", "domains": ["*"], "routes": routes}]
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{TYPE}http.router.v3.Router"},
                }
            ],
        },
    }
    return address(port) | {"filter_chains": [{"filters": [manager]}]}


def configuration(port: int, ports: Mapping[str, int]) -> dict[str, Any]:
    """A path for each salt, `/0` without one; each revision answers its name."""
    clusters = [{"name": name, "weight": 50} for name in ports]
    weighted = {"use_hash_policy": True, "clusters": clusters}
    routes = [
        {
            "match": {"path": f"/{salt}"},
            "route": {"weighted_clusters": weighted, "hash_policy": hashed(salt)},
        }
        for salt in (0, 1, 2)
    ]
    listeners = [listener(port, routes)]
    for name, own in ports.items():
        answer = {"status": 200, "body": {"inline_string": name}}
        route = {"match": {"prefix": "/"}, "direct_response": answer}
        listeners.append(listener(own, [route]))
    backends = [
        {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": address(own)}]}],
            },
        }
        for name, own in ports.items()
    ]
    return {"static_resources": {"listeners": listeners, "clusters": backends}}


class Gateway:
    """Envoy, asked with the salts that the platform's gateway sets."""

    def __init__(self, client: httpx.Client) -> None:
        self._client, self._salts = client, salts()

    def revision(self, salt: int, headers: Headers) -> str:
        answer = self._client.get(f"/{salt}", headers=self._salts | dict(headers))
        assert answer.status_code == 200
        return answer.text

    def callers(self, salt: int) -> list[str]:
        """The revision of each caller."""
        return [self.revision(salt, {USER: f"user-{it}"}) for it in range(USERS)]

    def is_up(self) -> bool:
        try:
            return self._client.get("/0").status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("envoy")
    port, ports = free_port(), {name: free_port() for name in REVISIONS}
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration(port, ports)))
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen(
            [program(), "--config-path", str(file), "--concurrency", "1"]
            + ["--use-dynamic-base-id", "--log-level", "warning"],
            stdout=log,
            stderr=log,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as it:
                found = Gateway(it)
                wait_until(found.is_up, 60, "Envoy")
                yield found
        finally:
            process.terminate()
            process.wait(30)


def test_a_caller_stays_on_its_revision(gateway: Gateway) -> None:
    for salt in (0, 1):
        first = gateway.callers(salt)
        assert gateway.callers(salt) == first
        # Half of 300 within four standard deviations.
        assert 115 < first.count("challenger") < 185


def test_another_salt_divides_callers_anew(gateway: Gateway) -> None:
    divided = [gateway.callers(salt) for salt in (0, 1, 2)]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        pairs = list(zip(divided[one], divided[two], strict=True))
        # A quarter of 300 if they are independent; 150 or 0 if they are the same.
        assert 45 < pairs.count(("challenger", "challenger")) < 105, (one, two)


def test_requests_without_a_caller_meet_one_revision_with_a_salt(
    gateway: Gateway,
) -> None:
    """Envoy leaves the missing header out of the hash, and the salts remain."""
    assert {gateway.revision(0, {}) for _ in range(60)} == {*REVISIONS}
    for salt in (1, 2):
        assert len({gateway.revision(salt, {}) for _ in range(60)}) == 1
