"""Queries of the lab's Kubernetes: whether it responds, and its nodes are ready."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from toolchain import commands, programs, whole_files
from toolchain.errors import OperatorError

_POLL_SECONDS = 0.5
_SERVER = re.compile(r"(?m)^(\s*server:\s*)\S+$")


@dataclass(frozen=True)
class Cluster:
    """The cluster that a kubeconfig leads to."""

    kubeconfig: Path

    def write_kubeconfig(self, source: Path, port: int) -> None:
        """Copies a host's admin kubeconfig, leading to a port on loopback."""
        text = _SERVER.sub(rf"\g<1>https://127.0.0.1:{port}", source.read_text())
        if not self.kubeconfig.is_file() or self.kubeconfig.read_text() != text:
            whole_files.write(self.kubeconfig, text, 0o600)

    def kubectl(self, *words: str, timeout_seconds: float = 10) -> str:
        """Runs kubectl; OperatorError if it fails."""
        program = programs.get("kubernetes").binary("kubectl")
        return commands.run(
            [program, "--kubeconfig", self.kubeconfig, "--request-timeout=5s", *words],
            timeout_seconds=timeout_seconds,
        )

    def nodes(self, since: datetime | None = None) -> dict[str, bool]:
        """Return whether each node is Ready, by name.

        A node whose host was lost still counts as Ready for 40 s. With `since`, its
        kubelet must have renewed its lease after that time.
        """
        shown = self.kubectl(
            "get", "nodes,leases", "--namespace=kube-node-lease", "--output=json"
        )
        items = json.loads(shown)["items"]
        renewed = {
            item["metadata"]["name"]: item["spec"].get("renewTime", "")
            for item in items
            if item["kind"] == "Lease"
        }
        return {
            node["metadata"]["name"]: _is_ready(node)
            and (since is None or _after(renewed.get(node["metadata"]["name"]), since))
            for node in items
            if node["kind"] == "Node"
        }

    def wait_for_nodes(
        self, names: Iterable[str], timeout_seconds: float, since: datetime
    ) -> None:
        """Waits until these nodes are Ready; OperatorError says which are not."""
        wanted = set(names)
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                nodes = self.nodes(since)
                ready = {name for name, is_ready in nodes.items() if is_ready}
                problem = f"not Ready: {', '.join(sorted(wanted - ready))}"
                if wanted <= ready:
                    return
            except OperatorError as error:
                problem = str(error)
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"the cluster's nodes are not Ready after {timeout_seconds:.0f} s: "
                    f"{problem}\nLook: python -m lab exec cp1 journalctl -u kubelet"
                )
            time.sleep(_POLL_SECONDS)

    def forget(self, name: str) -> None:
        """Removes the node of a host that is no more part of the lab."""
        self.kubectl("delete", "node", name, "--ignore-not-found", timeout_seconds=30)


def _is_ready(node: dict[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in node["status"].get("conditions", [])
    )


def _after(time_text: str | None, since: datetime) -> bool:
    return bool(time_text) and datetime.fromisoformat(str(time_text)) >= since
