"""The target of a measurement: any URL, or a stack's model server with its replicas."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from components.serving.args.model_server_args import ModelServerArgs
from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.bench.usage import Reading, read
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.engine import stack_api

TIMEOUT_SECONDS = 10.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SEED = 7


class SubjectError(Exception):
    """No target, or it cannot be reached; the text says what to do."""


class ReplicasChangedError(Exception):
    """The autoscaler changed the number of replicas while one was to be measured."""


@dataclass(frozen=True)
class Asking:
    """The content of every request."""

    body: Path | None = None
    """File with a body; by default one row is generated."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers, such as a key."""

    def content(self, url: str) -> bytes:
        return self.body.read_bytes() if self.body else sample_body(url, self.headers)


@dataclass(frozen=True)
class Subject:
    """Target of the requests, and the source of its metrics; closed by a `with`."""

    url: str
    body: bytes
    readings: Callable[[], Sequence[Reading]]
    """One function per replica, in a fixed order; empty without metrics."""
    replicas: int
    count: Callable[[], int] | None = None
    """Returns the current number of replicas; None if it is unknown."""
    headers: Mapping[str, str] = field(default_factory=dict)
    close: Callable[[], object] = lambda: None
    """Closes the connections that `readings` and `count` use."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise ReplicasChangedError if the number of replicas has changed."""
        now = self.count() if self.count else self.replicas
        if now != self.replicas:
            raise ReplicasChangedError(
                f"the replicas changed from {self.replicas} to {now}, so the rate per "
                "replica is unknown; hold them with min_replicas = max_replicas"
            )

    @property
    def is_loopback(self) -> bool:
        return urlsplit(self.url).hostname in LOOPBACK


def of_url(url: str, asking: Asking, metrics: str = "", replicas: int = 1) -> Subject:
    """A URL that takes inferences, such as http://127.0.0.1:8080/infer.

    `metrics`: address of its Prometheus page; without one, /metrics of the same host
    if it answers.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SubjectError(
            f"{url} is neither an address nor STACK/MODEL; give one like "
            "http://127.0.0.1:8080/infer or models.lab/employment"
        )
    page = metrics or f"{parts.scheme}://{parts.netloc}/metrics"
    content = asking.content(url)

    def readings() -> list[Reading]:
        try:
            found = read(httpx.get(page, timeout=TIMEOUT_SECONDS).text)
        except httpx.HTTPError:
            return []
        return [found] if found else []

    return Subject(url, content, readings, replicas, headers=asking.headers)


def of_stack(
    stack: str, name: str, gateway: str, asking: Asking, api: KubeApi | None = None
) -> Subject:
    """A model server of a stack, through the gateway, with all its ready replicas.

    The cluster's API, `api` too, is closed with what is returned, or by an error.
    """
    settings = stack_settings.load(stack, ModelsSettings)
    if name not in settings.models:
        known = ", ".join(settings.models)
        raise SubjectError(f"{stack} has no model {name}; it has {known}")
    args: ModelServerArgs = settings.models[name]
    facts = args.runtime.FACTS
    if "/infer" not in facts.public:
        raise SubjectError(
            f"{name} is served by {args.runtime.kind}, which has its own request "
            "format: give an address in place of STACK/MODEL, and a request with "
            "--body"
        )
    if not args.api_versions:
        raise SubjectError(
            f"{name} has no route at the gateway; forward a port of one pod and give "
            "its address: kubectl port-forward deployment/... 8080, then "
            "`slipway bench model http://127.0.0.1:8080/infer`"
        )
    url = f"{gateway.rstrip('/')}{args.api_versions[-1].prefix}/infer"
    namespace = settings.platform.namespace
    with ExitStack() as opened:
        try:
            cluster = opened.enter_context(api or stack_api.of_stack(stack))
            pods = ready_pods(cluster, namespace, name)
        except KubeApiError as error:
            raise SubjectError(f"{stack}: {error}") from error
        if not pods:
            raise SubjectError(f"no replica of {name} is ready; see `slipway doctor`")

        def readings() -> list[Reading]:
            page = f"{facts.metrics_port}/proxy{facts.metrics_path}"
            pages = [cluster.text(f"{path}:{page}") for path in pods]
            return [found for page in pages if (found := read(page))]

        return Subject(
            url,
            asking.content(url),
            readings,
            len(pods),
            lambda: len(ready_pods(cluster, namespace, name)),
            asking.headers,
            opened.pop_all().close,
        )


def ready_pods(api: KubeApi, namespace: str, name: str) -> list[str]:
    """Return the API paths of the server's ready pods, by name."""
    chosen = f"labelSelector=app.kubernetes.io/instance%3D{name}"
    base = f"/api/v1/namespaces/{namespace}/pods"
    return [
        f"{base}/{pod['metadata']['name']}"
        for pod in sorted(
            api.items(f"{base}?{chosen}"), key=lambda pod: str(pod["metadata"]["name"])
        )
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in pod.get("status", {}).get("conditions", [])
        )
    ]


def sample_body(url: str, headers: Mapping[str, str]) -> bytes:
    """One made-up row of the shape that the server says its model takes.

    Real requests may cost more or less: `--body` takes one. SubjectError if the server
    does not describe its model.
    """
    name = urlsplit(url).path.rstrip("/").split("/")
    base = url.rstrip("/").removesuffix("/infer")
    described = base if "models" in name else f"{base}/v2"
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, headers=headers) as client:
            said = _json(client.get(described))
            if "inputs" not in said and said.get("models"):
                said = _json(client.get(f"{described}/models/{said['models'][0]}"))
    except (httpx.HTTPError, ValueError) as error:
        raise SubjectError(f"{described} returned no description ({error})") from error
    if "inputs" not in said:
        raise SubjectError(
            f"{described} does not describe a model: give a request with --body FILE"
        )
    return json.dumps({"inputs": [_tensor(i) for i in said["inputs"]]}).encode()


def _json(answer: httpx.Response) -> dict[str, Any]:
    said = answer.json() if answer.is_success else {}
    return said if isinstance(said, dict) else {}


def _tensor(described: dict[str, Any]) -> dict[str, Any]:
    shape = [1 if size < 0 else size for size in described["shape"]]
    number = 1
    for size in shape:
        number *= size
    generator = random.Random(_SEED)  # noqa: S311 - no secret, the same each time
    kind = described["datatype"]
    values: list[Any] = [generator.gauss(0, 1) for _ in range(number)]
    if kind == "BYTES":
        values = ["a"] * number
    elif kind == "BOOL":
        values = [False] * number
    elif not kind.startswith(("FP", "BF")):
        values = [1] * number
    return {
        "name": described["name"],
        "shape": shape,
        "datatype": kind,
        "data": values,
    }
