"""An API server with pods that are processes: what a Spark driver makes, runs here.

It answers what a driver in client mode asks, and notes each request. A pod that is
posted becomes a process of the image's entry point with the pod's variables, on a
loopback address of its own. Nothing of a kubelet is emulated beside that.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PODS = "/api/v1/namespaces/models/pods"
ENTRY = Path(__file__).parents[2] / "images" / "spark"
Object = dict[str, Any]


def image(pyspark: Path) -> dict[str, str]:
    """Variables of the image, with Spark from an installed distribution."""
    return {
        "PATH": os.environ["PATH"],
        "JAVA_HOME": _java_home(),
        "SPARK_HOME": str(pyspark),
        "PYTHONPATH": f"{ENTRY}:{pyspark.parent}",
        "PYSPARK_PYTHON": sys.executable,
        "LANG": "C.UTF-8",
    }


def _java_home() -> str:
    if home := os.environ.get("JAVA_HOME"):
        return home
    java = subprocess.run(["which", "java"], check=True, capture_output=True, text=True)
    return str(Path(java.stdout.strip()).resolve().parents[1])


@dataclass
class Pods:
    """The pods of a namespace, and the requests about them."""

    variables: Mapping[str, str]
    """Of the image."""
    log: Path
    """What the executors write."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each."""
    posted: list[Object] = field(default_factory=list)
    pods: dict[str, Object] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _events: list[Object] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def add_driver(self, name: str) -> None:
        ready = [{"type": "Ready", "status": "True"}]
        self.pods[name] = _object(name, {}, "127.0.0.1", "Running", conditions=ready)

    def make(self, pod: Object) -> Object:
        """Start the process of a pod that was posted."""
        self.posted.append(pod)
        name, number = pod["metadata"]["name"], next(self._numbers)
        address = f"127.0.0.{number}"
        made = {**pod, **_object(name, pod["metadata"], address, "Running")}
        (container,) = pod["spec"]["containers"]
        known = {"status.podIP": address, "metadata.name": name}
        environment = dict(self.variables)
        for one in container["env"]:
            source = one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            environment[one["name"]] = known[source] if source else one["value"]
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "spark_entry", *container["args"]],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.tell("ADDED", made)
        return made

    def tell(self, kind: str, pod: Object) -> None:
        with self.changed:
            version = str(len(self._events) + 1)
            pod["metadata"]["resourceVersion"] = version
            self.pods[pod["metadata"]["name"]] = pod
            self._events.append({"type": kind, "object": pod})
            self.changed.notify_all()

    def remove(self, name: str) -> None:
        if name in self.processes:
            self.processes[name].terminate()
            pod = self.pods.pop(name)
            with self.changed:
                self._events.append({"type": "DELETED", "object": pod})
                self.changed.notify_all()

    def events(self, seconds: float) -> Iterator[Object]:
        """What changes from now on, for a while."""
        deadline, told = time.monotonic() + seconds, len(self._events)
        while (left := deadline - time.monotonic()) > 0:
            with self.changed:
                if len(self._events) == told:
                    self.changed.wait(left)
                found = self._events[told:]
            told += len(found)
            yield from found

    def selected(self, query: Mapping[str, list[str]]) -> list[Object]:
        """Pods with the labels of a query, of parts `key=value` and `key!=value`."""
        texts = query.get("labelSelector", [])
        parts = [part for text in texts for part in text.split(",")]
        return [
            pod
            for pod in self.pods.values()
            if all(_has(pod["metadata"]["labels"], part) for part in parts)
        ]

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def _object(
    name: str, known: Object, address: str, phase: str, **status: Any
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **known,
            "name": name,
            "namespace": "models",
            "uid": f"uid-{name}",
            "labels": known.get("labels", {}),
            "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
        "status": {"phase": phase, "podIP": address, **status},
    }


class Handler(BaseHTTPRequestHandler):
    """Answers as an API server; subclasses have the pods."""

    pods: Pods
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, content: Object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        asked = urlsplit(self.path)
        self.pods.requests.append((self.command, asked.path))
        return asked.path, parse_qs(asked.query)

    def _body(self) -> Object:
        length = int(self.headers.get("Content-Length") or 0)
        found: Object = json.loads(self.rfile.read(length) or b"{}")
        return found

    def do_GET(self) -> None:
        path, query = self._asked()
        if "Upgrade" in self.headers:
            # Not by a web socket: the client asks again without one.
            self._answer({})
        elif query.get("watch") == ["true"]:
            self._watch()
        elif path == PODS:
            items = self.pods.selected(query)
            version = {"resourceVersion": "1"}
            kind = {"kind": "PodList", "apiVersion": "v1"}
            self._answer({**kind, "metadata": version, "items": items})
        elif (found := self.pods.pods.get(path.rpartition("/")[2])) is not None:
            self._answer(found)
        else:
            self._answer({"kind": "Status", "code": 404}, 404)

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for event in self.pods.events(60):
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()
        except OSError:
            return

    def do_POST(self) -> None:
        path, _ = self._asked()
        body = self._body()
        if path == PODS:
            self._answer(self.pods.make(body), 201)
        else:
            self._answer({"kind": "Status", "code": 403}, 403)

    def do_PATCH(self) -> None:
        path, _ = self._asked()
        self._body()
        self._answer(self.pods.pods.get(path.rpartition("/")[2], {}))

    def do_DELETE(self) -> None:
        path, query = self._asked()
        self._body()
        if not path.startswith(PODS):
            self._answer({"kind": "Status", "code": 403}, 403)
            return
        name = path.removeprefix(PODS).lstrip("/")
        found = (
            [name]
            if name
            else [pod["metadata"]["name"] for pod in self.pods.selected(query)]
        )
        for one in found:
            self.pods.remove(one)
        self._answer({"kind": "Status", "status": "Success"})


def _has(labels: Mapping[str, str], part: str) -> bool:
    """Whether labels are those of one part of a selector."""
    key, differs, value = part.partition("!=")
    if differs:
        return labels.get(key) != value
    key, equals, value = part.partition("=")
    assert equals, f"a selector that is not understood: {part}"
    return labels.get(key) == value


@contextmanager
def served(pods: Pods) -> Iterator[str]:
    """Address of an API server with these pods, for a while."""
    handler = type("OwnHandler", (Handler,), {"pods": pods})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        pods.end()
        server.shutdown()
        server.server_close()
