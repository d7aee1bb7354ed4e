"""An API server and a Prometheus over HTTP, for the rollout's program."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rollout import mirror
from rollout.objects import PARTS, PLACES_KEY, RULES_KEY, SETTINGS_KEY, Names
from rollout.settings import Settings

from pod_parts.api_client import Api

NAMES = Names("models", "m")
PLACES = {
    name: {"service": f"m-{name}", "deployment": f"m-{name}"} for name in ("a", "b")
}


@dataclass
class Served:
    """Objects by their path; each put raises its resourceVersion."""

    objects: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, list[dict[int, float]]] = field(default_factory=dict)
    """Series by the selector in the query; absent: Prometheus answers 503."""
    calls: list[str] = field(default_factory=list)
    most_points: int = 0
    """That one range asked for, by series; Prometheus gives 11,000."""
    intervals: dict[str, Any] | None = None
    """The model monitor's answer; None: it answers 503."""
    fail_after: int = -1
    """Calls until every answer is 500; -1: none is."""

    def put(self, path: str, content: dict[str, Any]) -> tuple[int, Any]:
        there = self.objects[path]["metadata"]["resourceVersion"]
        if content["metadata"].get("resourceVersion") != there:
            return 409, {"reason": "Conflict"}
        content["metadata"]["resourceVersion"] = str(int(there) + 1)
        self.objects[path] = content
        return 200, content

    def post(self, path: str, content: dict[str, Any]) -> tuple[int, Any]:
        path = f"{path}/{content['metadata']['name']}"
        if path in self.objects:
            return 409, {"reason": "AlreadyExists"}
        content["metadata"]["resourceVersion"] = "1"
        self.objects[path] = content
        return 201, content

    def query(self, words: dict[str, list[str]]) -> tuple[int, Any]:
        selector, _, _ = (
            words["query"][0].removeprefix("last_over_time(").rpartition("[")
        )
        if selector not in self.counters:
            return 503, {}
        first, last, step = (int(words[key][0]) for key in ("start", "end", "step"))
        self.most_points = max(self.most_points, (last - first) // step + 1)
        result = [
            {
                "values": [
                    [at, str(one[at])]
                    for at in range(first, last + 1, step)
                    if at in one
                ]
            }
            for one in self.counters[selector]
        ]
        return 200, {"data": {"result": [it for it in result if it["values"]]}}

    def monitor(self, since: int) -> tuple[int, Any]:
        if not self.intervals:
            return 503, {}
        found = dict(self.intervals)
        if isinstance(found.get("revisions"), dict):
            found["revisions"] = {
                name: [it for it in some if it["start"] >= since]
                for name, some in found["revisions"].items()
            }
        return 200, found

    def answer(self, method: str, target: str, content: Any) -> tuple[int, Any]:
        self.calls.append(f"{method} {target.partition('?')[0]}")
        if 0 <= self.fail_after < len(self.calls):
            return 500, {}
        parts = urlsplit(target)
        if parts.path == "/api/v1/query_range":
            return self.query(parse_qs(parts.query))
        if method == "PUT":
            return self.put(parts.path, content)
        if method == "POST":
            return self.post(parts.path, content)
        if parts.path.endswith("/intervals"):
            return self.monitor(int(parse_qs(parts.query)["since"][0]))
        found = self.objects.get(parts.path)
        return (200, found) if found else (404, {})

    def version(self, path: str) -> int:
        return int(self.objects[path]["metadata"]["resourceVersion"])

    def raw_weights(self) -> list[int]:
        """As the route has them: of a million where the controller has written it."""
        rule = self.objects[NAMES.route]["spec"]["rules"][0]
        return [backend["weight"] for backend in rule["backendRefs"]]

    def weights(self) -> list[int]:
        """Percent."""
        found = self.raw_weights()
        return [it // PARTS for it in found] if sum(found) >= 100 * PARTS else found

    def mirrors(self) -> int:
        """Percent of the requests that are copied."""
        found = mirror.read(self.objects[NAMES.route]["spec"]["rules"][0], {})
        return sum(found.values())

    def entries(self) -> list[dict[str, Any]]:
        found = [it for path, it in self.objects.items() if "rollout-entry-" in path]
        return [json.loads(it["data"]["entry.json"]) for it in found]


def objects(settings: Settings) -> dict[str, Any]:
    """What the stack makes, with nine ready replicas of each revision."""

    def config_map(**data: str) -> dict[str, Any]:
        return {"kind": "ConfigMap", "metadata": {"resourceVersion": "1"}, "data": data}

    service = {"group": "", "kind": "Service", "port": 8080}
    backends = [
        service | {"name": name, "weight": weight}
        for name, weight in (("m-a", 100), ("m-b", 0))
    ]
    rules = [{"backendRefs": backends}]
    content = {
        SETTINGS_KEY: json.dumps(settings.plain()),
        PLACES_KEY: json.dumps(PLACES),
        RULES_KEY: json.dumps(rules),
    }
    return {
        NAMES.settings: config_map(**content),
        NAMES.status: {"kind": "ConfigMap", "metadata": {"resourceVersion": "1"}},
        NAMES.route: {"metadata": {"resourceVersion": "1"}, "spec": {"rules": rules}},
        **{
            NAMES.deployment(place["deployment"]): {
                "metadata": {},
                "status": {"readyReplicas": 9},
            }
            for place in PLACES.values()
        },
    }


@contextmanager
def serve(served: Served) -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            content = json.loads(self.rfile.read(length)) if length else None
            status, found = served.answer(self.command, self.path, content)
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            self._do()

        def do_PUT(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Api.of_url(f"http://127.0.0.1:{server.server_port}", "test")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
