"""An API server with runs of training jobs, and the commands about them on it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from components.training.settings import JobsSettings
from slipway import stack_settings
from slipway.cluster.kube_api import KubeApi
from slipway.engine import stack_api
from slipway.jobs import following

IMAGE = f"registry.example.com/net@sha256:{'0' * 64}"
BATCH = "/apis/batch/v1/namespaces/models"
CORE = "/api/v1/namespaces/models"
STAMP = "2026-11-29T10:00:{:02d}Z"
Object = dict[str, Any]


def labels(job: str) -> Object:
    return {
        "app.kubernetes.io/name": "training-job",
        "app.kubernetes.io/instance": job,
    }


def run(name: str, *, second: int = 0, **status: Any) -> Object:
    job = name.rpartition("-")[0]
    return {
        "metadata": {
            "name": name,
            "labels": labels(job),
            "creationTimestamp": STAMP.format(second),
        },
        "spec": {"completions": 2},
        "status": {"startTime": STAMP.format(second), **status},
    }


def ended(kind: str, reason: str = "", message: str = "") -> Object:
    when = STAMP.format(59)
    found = {"type": kind, "status": "True", "reason": reason, "message": message}
    return {"conditions": [{**found, "lastTransitionTime": when}]}


def pod(name: str, index: int, phase: str, *states: Object, **status: Any) -> Object:
    """A pod with the states of its worker; created in the order of their names."""
    containers = [{"name": "worker", "state": one} for one in states]
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": STAMP.format(int(name[-1])),
            "labels": {"batch.kubernetes.io/job-completion-index": str(index)},
        },
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def exited(code: int, second: int = 1, **more: str) -> Object:
    return {
        "terminated": {"exitCode": code, "finishedAt": STAMP.format(second), **more}
    }


RUNS: Object = {"running": {}}


@dataclass
class Api:
    """An API server with objects by path, and lists by path."""

    objects: dict[str, Object] = field(default_factory=dict)
    runs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    made: list[Object] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    options: list[Object] = field(default_factory=list)
    """Of each deletion."""
    broken: int = 0
    """So many questions about a run are not answered."""
    on_look: Callable[[Api], None] = lambda _: None
    """Called at each question about a run."""
    on_make: Callable[[Api], None] = lambda _: None
    """Called when a run was made."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "POST":
            self.made.append(json.loads(request.content))
            self.on_make(self)
            return httpx.Response(201, json={})
        if request.method == "DELETE":
            self.deleted.append(path)
            self.options.append(json.loads(request.content))
            return httpx.Response(200, json={})
        if path.endswith("/log"):
            return httpx.Response(200, text=self.logs.get(path.split("/")[-2], ""))
        if path in (f"{BATCH}/jobs", f"{CORE}/pods"):
            return httpx.Response(200, json={"items": self._listed(request)})
        if path.startswith(f"{BATCH}/jobs/"):
            return self._run(path.rpartition("/")[2])
        found = self.objects.get(path)
        return httpx.Response(404 if found is None else 200, json=found or {})

    def _run(self, name: str) -> httpx.Response:
        if self.broken:
            self.broken -= 1
            return httpx.Response(503, json={"message": "not now"})
        self.on_look(self)
        found = [one for one in self.runs if one["metadata"]["name"] == name]
        return httpx.Response(200 if found else 404, json=(found or [{}])[0])

    def _listed(self, request: httpx.Request) -> list[Object]:
        asked = parse_qs(urlsplit(str(request.url)).query)["labelSelector"][0]
        if "/pods" in request.url.path:
            return self.pods
        return [one for one in self.runs if _matches(one, asked)]


def _matches(run: Object, selector: str) -> bool:
    """Whether a run has the labels of a selector: `key=value`, `key in (a,b)`.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
    """
    held = run["metadata"]["labels"]
    listed = dict(re.findall(r"([\w./-]+) in \(([^)]*)\)", selector))
    single = dict(re.findall(r"([\w./-]+)=([\w.-]+)", selector))
    return all(held.get(key) == value for key, value in single.items()) and all(
        held.get(key) in values.split(",") for key, values in listed.items()
    )


def with_settings(monkeypatch: pytest.MonkeyPatch) -> Object:
    """The jobs of the stack file: those that are returned, which a test may change."""
    values: Object = {
        "training": {
            "net": {"image": IMAGE, "command": ["train"], "nodes": 2},
            "other": {"image": IMAGE, "command": ["train"]},
        }
    }

    def load(_: str, model: type[JobsSettings]) -> JobsSettings:
        return model.model_validate(values)

    monkeypatch.setattr(stack_settings, "load", load)
    return values


def with_api(monkeypatch: pytest.MonkeyPatch, settings: Object) -> Api:
    """The API server of all stacks; it has the template of the job `net`."""
    made = Api()
    digest = JobsSettings.model_validate(settings).training["net"].digest
    made.objects[f"{BATCH}/cronjobs/net"] = {
        "metadata": {
            "name": "net",
            "uid": "u-1",
            "annotations": {"slipway.dev/settings": digest},
        },
        "spec": {
            "jobTemplate": {
                "metadata": {"labels": labels("net")},
                "spec": {"completions": 2, "template": {}},
            }
        },
    }

    @contextmanager
    def opened(_: str) -> Iterator[KubeApi]:
        transport = httpx.MockTransport(made.answer)
        with KubeApi(httpx.Client(transport=transport, base_url="http://a")) as found:
            yield found

    monkeypatch.setattr(stack_api, "of_stack", opened)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.02)
    return made


def slipway(of: click.Command, *words: str) -> Result:
    return CliRunner().invoke(of, [*words], catch_exceptions=False)
