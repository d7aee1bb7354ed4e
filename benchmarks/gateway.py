"""`python -m benchmarks.gateway`: the latency that the gateway adds to a request.

Asks the same model through Envoy and at its pod, in turn, one request at a time. Run
without addresses it takes the running lab's and goes into the network namespace of its
first host, for a port-forward to a pod would cost more than what is measured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

import lab
from benchmarks.load import percentile
from benchmarks.servers import ROOT
from toolchain import programs

WARM_UP = 100
REQUESTS = 2000
HOST = "cp1"
GATEWAY_PORT = 30080
PATH = "/employment/v1/infer"


class Caller:
    """One keep-alive connection that posts the same body."""

    def __init__(self, url: str) -> None:
        self._parts: SplitResult = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            self._parts.hostname or "", self._parts.port, timeout=10
        )
        self._body = self._fitting_body()

    def close(self) -> None:
        self._connection.close()

    def ask(self) -> float:
        """Return the seconds of one prediction; raise if it is none."""
        headers = {"content-type": "application/json"}
        started = time.perf_counter()
        self._connection.request("POST", self._parts.path, self._body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        seconds = time.perf_counter() - started
        if answer.status != 200:
            raise RuntimeError(
                f"{self._parts.geturl()}: {answer.status} {content[:300].decode()}"
            )
        return seconds

    def _fitting_body(self) -> bytes:
        """Return a request of ones in the shape that the model's metadata tells."""
        base = self._parts.path.removesuffix("/infer")
        name = self._get(f"{base}/v2")["models"][0]
        tensors = []
        for tensor in self._get(f"{base}/v2/models/{name}")["inputs"]:
            shape = [1, *tensor["shape"][1:]]
            count = 1
            for size in shape:
                count *= size
            tensors.append({**tensor, "shape": shape, "data": [1] * count})
        return json.dumps({"inputs": tensors}).encode()

    def _get(self, path: str) -> Any:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:300].decode()}")
        return json.loads(content)


def report(gateway: str, direct: str | None, requests: int) -> list[str]:
    """Ask both in turn and return the lines of the report."""
    names = {"gateway": Caller(gateway)}
    if direct:
        names["direct"] = Caller(direct)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(WARM_UP):
        for caller in names.values():
            caller.ask()
    for _ in range(requests):
        for name, caller in names.items():
            seconds[name].append(caller.ask())
    for caller in names.values():
        caller.close()
    lines = [
        f"{name}: p50 {percentile(found, 0.5) * 1e3:.2f} ms, "
        f"p99 {percentile(found, 0.99) * 1e3:.2f} ms ({requests} requests, one at a "
        "time)"
        for name, found in seconds.items()
    ]
    if direct:
        for share in (0.5, 0.99):
            added = percentile(seconds["gateway"], share) - percentile(
                seconds["direct"], share
            )
            lines.append(f"the gateway adds at p{share * 100:g}: {added * 1e3:.2f} ms")
    return lines


def main() -> int:
    """Measure and print; 2 if there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", help="URL of /infer through the gateway")
    parser.add_argument("--direct", help="URL of the same /infer without it")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    options = parser.parse_args()
    if options.gateway:
        lines = report(options.gateway, options.direct, options.requests)
        print(*lines, sep="\n")
        return 0
    return _in_the_lab(options.requests)


def _in_the_lab(requests: int) -> int:
    host = lab.Lab().host(HOST)
    spec = host.spec()
    if os.geteuid() != 0 or host.init is None or spec is None:
        print("gateway: not measured, for no lab is up (make up)", file=sys.stderr)
        return 2
    pod = _pod_address()
    print(
        f"gateway: Envoy on {HOST} against the pod {pod}, both from {HOST}", flush=True
    )
    gateway = f"http://{spec.host.address}:{GATEWAY_PORT}"
    return subprocess.run(
        ["nsenter", "--target", str(host.init.pid), "--net"]
        + [sys.executable, "-m", "benchmarks.gateway", "--requests", str(requests)]
        + ["--gateway", gateway + PATH, "--direct", f"http://{pod}/infer"],
        cwd=ROOT,
        check=False,
        timeout=600,
    ).returncode


def _pod_address() -> str:
    """Address and port of a ready pod of the model that listens on that host."""
    kubectl = programs.get("kubernetes").binary("kubectl")
    cache = lab.Lab().kubeconfig.with_name("kubectl-cache")
    shown = subprocess.run(
        [str(kubectl), f"--cache-dir={cache}", "get", "pods", "-n", "models"]
        + ["-o", "json"]
        + ["-l", "app.kubernetes.io/instance=employment"],
        check=True,
        env={"KUBECONFIG": str(lab.Lab().kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    pod = json.loads(shown)["items"][0]
    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    return f"{pod['status']['podIP']}:{port}"


if __name__ == "__main__":
    sys.exit(main())
