"""The gateway: the same Envoy with a fixed configuration, from the same objects."""

from __future__ import annotations

from typing import Any

from components import naming
from components.platform.gateway import METRICS_PORT, PROXY_LABELS, PROXY_PORT
from components.settings import Problem, SettingsError
from components.yaml_text import written
from slipway.compose import durations, reach, tools, traffic
from slipway.compose.composition import Composition
from slipway.compose.container import CONFIG_LABEL
from slipway.compose.envoy import READY_PORT, bootstrap
from slipway.compose.objects import Object, Objects, problem
from slipway.compose.quantities import cpus, mebibytes
from slipway.compose.servers import Backends
from slipway.compose.tools import Service

SERVICE = "gateway"
FOLDER = "gateway"
CONFIG = "/etc/envoy"
USER = "65532:65532"
OUTSIDE = reach.OUTSIDE
"""The network with a route out, which published ports need."""
DRAIN_SECONDS = 10
PORT_VARIABLE = "SLIPWAY_PORT"
DEFAULT_PORT = 8080
_ADDRESS = "${SLIPWAY_ADDRESS:-127.0.0.1}"


def published(variable: str, default: int, target: int) -> str:
    """A port on loopback, unless the user sets another."""
    return f"{_ADDRESS}:${{{variable}:-{default}}}:{target}"


def add(composition: Composition, objects: Objects, backends: Backends) -> None:
    """Adds the gateway of the platform stack, with the routes of all models."""
    proxy = _proxy(composition.stack, objects)
    traffic.check(composition, objects)
    _check_listeners(composition, objects)
    limits = _client_limits(objects)
    log = _access_log(proxy)
    configuration = bootstrap(objects, backends, access_log=log, **limits)
    path = f"{FOLDER}/envoy.yaml"
    composition.files[path] = written(configuration)
    composition.networks.setdefault(OUTSIDE, {})
    composition.add(SERVICE, _service(composition, proxy, backends))
    composition.add_remark(
        "The gateway's configuration is static: to change weights or routes, write it "
        "anew and run `docker compose up`, which causes an outage of a second."
    )


def pods() -> Object:
    """The proxies as Prometheus finds them: labels and annotations of their pods."""
    return {
        "labels": PROXY_LABELS,
        "annotations": naming.scrape_annotations(METRICS_PORT, "/stats/prometheus"),
    }


def _proxy(stack: str, objects: Objects) -> Object:
    found = objects.kind("EnvoyProxy")
    if not found:
        raise SettingsError(
            stack,
            [
                Problem(
                    "gateway",
                    "none",
                    "the platform stack has no gateway to take image and limits from",
                    "name one that does with --platform, for example platform.lab",
                )
            ],
        )
    spec: Object = found[0]["spec"]
    return spec


def _check_listeners(composition: Composition, objects: Objects) -> None:
    """Only plain HTTP is published, on loopback: the stack must allow it."""
    for one in objects.kind("Gateway"):
        listeners = one["spec"]["listeners"]
        plain = [
            listener
            for listener in listeners
            if listener["protocol"] == "HTTP"
            and listener["allowedRoutes"]["namespaces"]["from"] in ("All", "Selector")
        ]
        if not plain:
            raise problem(
                one,
                "spec.listeners",
                [listener["name"] for listener in listeners],
                "models are reached over TLS only, which the gateway of Compose does "
                "not support",
                "name a platform stack that accepts plain HTTP with --platform, and "
                "put your own TLS proxy in front of the loopback port",
            )
        if len(listeners) > len(plain):
            composition.add_remark(
                "The gateway accepts plain HTTP only: put your own TLS proxy in front "
                "of its port before other hosts can reach it."
            )


def _access_log(proxy: Object) -> dict[str, str]:
    (settings,) = proxy["telemetry"]["accessLog"]["settings"]
    found: dict[str, str] = settings["format"]["json"]
    return found


def _client_limits(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = {"max_connections": None, "request_timeout": None}
    for policy in objects.kind("ClientTrafficPolicy"):
        spec = policy["spec"]
        connection = spec.get("connection", {}).get("connectionLimit", {})
        found["max_connections"] = connection.get("value")
        http = spec.get("timeout", {}).get("http", {})
        if limit := http.get("requestReceivedTimeout"):
            found["request_timeout"] = durations.envoy(limit)
    return found


def _service(composition: Composition, proxy: Object, backends: Backends) -> Service:
    container = proxy["provider"]["kubernetes"]["envoyDeployment"]["container"]
    limits = container["resources"]["limits"]
    resources = tools.limits(cpus(limits["cpu"]), mebibytes(limits["memory"]))
    networks = [name for name in composition.networks if name.startswith("model-")]
    mount: Service = {
        "type": "bind",
        "source": f"./{FOLDER}",
        "target": CONFIG,
        "read_only": True,
        "bind": {"create_host_path": False},
    }
    text = composition.files[f"{FOLDER}/envoy.yaml"]
    return {
        **tools.hardened(USER),
        "image": container["image"],
        "entrypoint": ["envoy"],
        "command": [
            # Envoy takes a value as a word of its own, not behind "=".
            *("--config-path", f"{CONFIG}/envoy.yaml"),
            "--disable-hot-restart",
            *("--log-level", "warn"),
        ],
        "volumes": [tools.mount(), mount],
        "networks": {name: {} for name in [*networks, OUTSIDE]},
        "ports": [published(PORT_VARIABLE, DEFAULT_PORT, PROXY_PORT)],
        # A name is known once its container runs.
        "depends_on": {
            tools.SERVICE: tools.DONE,
            **{
                host: {"condition": "service_started"}
                for backend in backends.used()
                for host in backend.hosts
            },
        },
        "healthcheck": tools.health(
            f"http://127.0.0.1:{READY_PORT}/ready", seconds=5, timeout=3, failures=3
        ),
        "restart": "unless-stopped",
        "stop_grace_period": f"{DRAIN_SECONDS}s",
        "deploy": {"replicas": 1, "resources": resources},
        "labels": {**PROXY_LABELS, CONFIG_LABEL: tools.digest(text)},
    }
