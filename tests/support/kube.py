"""What the cluster tests ask of the API server: reads over HTTP, the rest by kubectl.

Tests read every second until something is so. Each start of kubectl takes 0.2 s of CPU
time, and several seconds on a busy machine.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from slipway.cluster.kube_api import KubeApi, KubeApiError
from tests.support.api_kinds import Kinds
from toolchain import programs


@cache
def _connected(kubeconfig: str) -> tuple[KubeApi, Kinds]:
    """A client and what it knows of the cluster, by the kubeconfig's content."""
    api = KubeApi.of_kubeconfig(kubeconfig)
    return api, Kinds(api)


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

    def get(
        self, kind: str, name: str = "", namespace: str = "models", selector: str = ""
    ) -> Any:
        """The object, or without a name the list of items that a selector chooses.

        `kind`: plural or singular, with its group behind a dot or without one.
        AssertionError if there is no such object, or no answer.
        """
        found = self._read(kind, name, namespace, selector)
        assert found is not None, f"get {kind} {name}: it is not in {namespace}"
        return found

    def has(self, kind: str, name: str, namespace: str = "models") -> bool:
        """Whether there is an object of that name; AssertionError without an answer."""
        return self._read(kind, name, namespace) is not None

    def _read(self, kind: str, name: str, namespace: str, selector: str = "") -> Any:
        try:
            api, kinds = _connected(self.kubeconfig.read_text())
            path = kinds.path(kind, namespace)
            if name:
                found = api.get(f"{path}/{name}")
                return found and _shown(found)
            listed = api.get(f"{path}?{urlencode({'labelSelector': selector})}")
            assert listed is not None, f"get {kind}: {path} is not served"
            kind_of_all = {
                "apiVersion": listed["apiVersion"],
                "kind": listed["kind"].removesuffix("List"),
            }
            return [kind_of_all | _shown(item) for item in listed["items"]]
        except KubeApiError as error:
            raise AssertionError(f"get {kind} {name}: {error}") from None

    def live(self, objects: Sequence[dict[str, Any]]) -> list[Any]:
        """The objects as the API server has them, in the same order."""
        return [
            self.get(
                _full_kind(one), metadata["name"], metadata.get("namespace", "default")
            )
            for one in objects
            if (metadata := one["metadata"])
        ]

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
        return [
            pod
            for pod in self.get("pods", namespace=namespace, selector=selector)
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in pod["status"].get("conditions", [])
            )
        ]


def _shown(content: dict[str, Any]) -> dict[str, Any]:
    """The object as kubectl shows it: not which client owns which field."""
    content["metadata"].pop("managedFields", None)
    return content


def _full_kind(content: dict[str, Any]) -> str:
    """The kind of an object with its group, such as Deployment.apps."""
    group = content["apiVersion"].rpartition("/")[0]
    return f"{content['kind']}.{group}" if group else content["kind"]


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
