"""The latency that the gateway adds to one request at a time."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from benchmarks.load import percentile

WARM_UP = 100


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
