"""kubectl as a function: what the cluster tests ask of the API server."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain import programs


@dataclass(frozen=True)
class Kube:
    """A cluster by its kubeconfig."""

    kubeconfig: Path

    def run(
        self, *arguments: str, text: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl; AssertionError with its error text if `check` and it fails."""
        # Its discovery cache lies beside the kubeconfig, nothing in the user's home.
        cache = f"--cache-dir={self.kubeconfig.parent / 'kubectl-cache'}"
        done = subprocess.run(
            [programs.get("kubernetes").binary("kubectl"), cache, *arguments],
            check=False,
            env={"KUBECONFIG": str(self.kubeconfig)},
            input=text,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not (check and done.returncode), f"kubectl {arguments}: {done.stderr}"
        return done

    def get(self, kind: str, name: str = "", namespace: str = "models") -> Any:
        """The object, or the list of items without a name."""
        names = [name] if name else []
        answer = self.run("get", kind, *names, "-n", namespace, "-o", "json")
        found = json.loads(answer.stdout)
        return found if name else found["items"]

    def live(self, objects: Sequence[dict[str, Any]]) -> list[Any]:
        """The objects as the API server has them, in the same order, by one command."""
        named = [
            {
                "apiVersion": one["apiVersion"],
                "kind": one["kind"],
                "metadata": {
                    key: one["metadata"][key]
                    for key in ("name", "namespace")
                    if key in one["metadata"]
                },
            }
            for one in objects
        ]
        documents = {"apiVersion": "v1", "kind": "List", "items": named}
        answer = self.run("get", "-f", "-", "-o", "json", text=json.dumps(documents))
        got = json.loads(answer.stdout)
        # Of one object kubectl makes no list.
        found = got["items"] if got["kind"] == "List" else [got]
        by_identity = {_identity(one): one for one in found}
        return [by_identity[_identity(one)] for one in objects]

    def apply(self, *objects: dict[str, Any]) -> None:
        documents = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "-f", "-", text=json.dumps(documents))

    def delete(self, *objects: dict[str, Any], wait: bool = True) -> None:
        """Deletes what is there of the objects; without `wait` finalizers go on."""
        documents = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        waits = f"--wait={str(wait).lower()}"
        arguments = ("delete", "--ignore-not-found", waits, "-f", "-")
        self.run(*arguments, text=json.dumps(documents))

    def rollout(self, deployment: str, namespace: str = "models") -> None:
        """Waits until the deployment is rolled out."""
        target = f"deployment/{deployment}"
        self.run("rollout", "status", target, "-n", namespace, "--timeout=180s")

    def ready_pods(self, selector: str, namespace: str = "models") -> list[Any]:
        """Pods of a label selector that are Ready and not being deleted."""
        answer = self.run("get", "pods", "-n", namespace, "-l", selector, "-o", "json")
        return [
            pod
            for pod in json.loads(answer.stdout)["items"]
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in pod["status"].get("conditions", [])
            )
        ]


def _identity(content: dict[str, Any]) -> tuple[str, ...]:
    metadata = content["metadata"]
    where = metadata.get("namespace", "")
    return (content["apiVersion"], content["kind"], where, metadata["name"])


def wait_until(
    condition: Callable[[], Any], seconds: float, what: str, pause: float = 1.0
) -> Any:
    """The first true answer; AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
