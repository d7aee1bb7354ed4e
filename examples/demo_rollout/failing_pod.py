"""A pod that makes a revision bad: it answers every 25th request with 500.

It is a second endpoint of the revision's Service, so half of the revision's requests
reach it and 2 % of them fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from components import images, naming
from components.security import pod_defaults
from examples.demo_rollout.stack import SERVER
from slipway.cluster.kube_api import KubeApi

SHARE = 0.02
"""Of the revision's requests that fail."""
_PROGRAM = """
import http.server, itertools
numbers = itertools.count(1)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self): self.answer(200)
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.answer(500 if next(numbers) % 25 == 0 else 200)
    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def manifest(labels: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return the pod, with the labels by which the Service selects its endpoints."""
    container = {
        "name": "server",
        "image": images.resolve("base"),
        "command": ["python3", "-c", _PROGRAM],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "resources": {
            "requests": {"cpu": "20m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "64Mi"},
        },
        "securityContext": pod_defaults.container_security_context(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": naming.MODELS_NAMESPACE,
            "labels": dict(labels),
        },
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": pod_defaults.pod_security_context(),
            "containers": [container],
        },
    }


@contextmanager
def failing(api: KubeApi, revision: str) -> Iterator[None]:
    """Let 2 % of a revision's requests fail while the block runs."""
    namespace, name = naming.MODELS_NAMESPACE, f"{SERVER}-{revision}"
    found = api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    labels = found["spec"]["template"]["metadata"]["labels"] if found else {}
    pods = f"/api/v1/namespaces/{namespace}/pods"
    api.create(pods, manifest(labels, f"{name}-failing"))
    try:
        yield
    finally:
        api.delete(f"{pods}/{name}-failing")
