"""What the lab asks of its Kubernetes: is it there, are its nodes ready."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import builds, commands
from lab.errors import LabError

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
            part = self.kubeconfig.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_text(text)
            part.replace(self.kubeconfig)

    def kubectl(self, *words: str, timeout_seconds: float = 10) -> str:
        """Runs kubectl; LabError if it fails."""
        program = builds.group("kubernetes").binary("kubectl")
        return commands.run(
            [program, "--kubeconfig", self.kubeconfig, "--request-timeout=5s", *words],
            timeout_seconds=timeout_seconds,
        )

    def nodes(self) -> dict[str, bool]:
        """Whether each node is Ready, by name."""
        items = json.loads(self.kubectl("get", "nodes", "--output=json"))["items"]
        return {
            item["metadata"]["name"]: any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in item["status"].get("conditions", [])
            )
            for item in items
        }

    def wait_for_nodes(self, names: Iterable[str], timeout_seconds: float) -> None:
        """Waits until these nodes are Ready; LabError says which are not."""
        wanted = set(names)
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                ready = {name for name, is_ready in self.nodes().items() if is_ready}
                problem = f"not Ready: {', '.join(sorted(wanted - ready))}"
                if wanted <= ready:
                    return
            except LabError as error:
                problem = str(error)
            if time.monotonic() > deadline:
                raise LabError(
                    f"the cluster's nodes are not Ready after {timeout_seconds:.0f} s: "
                    f"{problem}\nLook: python -m lab exec cp1 journalctl -u kubelet"
                )
            time.sleep(_POLL_SECONDS)
