"""A host with Docker instead of a cluster: the role, and models.lab run by Compose.

The tests of this file are one story on one host and run in its order.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from components.images import LOCK_VARIABLE
from lab import playbook, ports, requirements
from lab.forward import Forwards
from lab.host import Host
from lab.lab import Lab
from lab.playbook import PlaybookResult
from lab.settings import BRIDGE_ADDRESS, REGISTRY_NAME
from slipway import images
from slipway.compose.stack import compose
from slipway.images.registry import Registry
from tests.support import composed, oip
from tests.support import rendered as r
from tests.support.compose_host import (
    FOLDER,
    SETTINGS,
    containers,
    docker,
    eventually,
    firing,
    project,
    query,
    started,
    url,
)
from toolchain import builds

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or os.geteuid() != 0,
    reason="hosts in namespaces need Linux and root",
)

PLAYBOOK = playbook.PLAYBOOKS / "docker.yml"
ROWS = 40


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One booted host that has nothing but packages to install."""
    if missing := requirements.missing():
        pytest.fail(f"Debian packages are missing: {' '.join(missing)}")
    builds.build(builds.group("compose"))
    lab = Lab("compose-test", SETTINGS)
    lab.wipe()  # left by a test run that was killed
    lab.up()
    yield lab
    lab.wipe()


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab.host("cp1")


@pytest.fixture(scope="module")
def role(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of the role's playbook for this lab."""
    inventory = tmp_path_factory.mktemp("inventory") / "docker.json"
    inventory.write_text(json.dumps({"docker": {"hosts": {"cp1": None}}}))
    values = {
        "docker_engine_compose_plugin": str(builds.group("compose").binary("cmd")),
        "docker_engine_insecure_registries": [f"{REGISTRY_NAME}:5000"],
        "docker_engine_address_pools": [{"base": "198.19.0.0/16", "size": 24}],
    }
    extra = ["--extra-vars", json.dumps(values)]
    return ["--inventory", f"{inventory}", *extra]


@pytest.fixture(scope="module")
def engine(lab: Lab, role: list[str]) -> PlaybookResult:
    """Docker on the host."""
    result = lab.run_playbook(PLAYBOOK, *role)
    result.check()
    return result


@pytest.fixture(scope="module")
def registry(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The images in a registry on the host, and images.lock in a place of its own."""
    folder = tmp_path_factory.mktemp("registry")
    play = {
        "name": "Serve images",
        "hosts": "registry",
        "gather_facts": False,
        "vars": {"registry_address": ":5000"},
        "roles": [{"role": "registry"}],
    }
    path = folder / "registry.yml"
    path.write_text(json.dumps([play]))
    lab.run_playbook(path).check()
    forwards = Forwards(lab.folder)
    forwards.up(SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        # The platform stack also names images that do not run here.
        lock = folder / "images.lock"
        lock.write_text(json.dumps(r.IMAGES))
        patch.setenv(LOCK_VARIABLE, str(lock))
        address = f"{ports.LOOPBACK}:{SETTINGS.ports()['registry']}"
        served = Registry(address, f"{REGISTRY_NAME}:5000")
        images.push(served, composed.image_names())
        yield
    forwards.service.stop()


@pytest.fixture(scope="module")
def running(
    host: Host,
    engine: PlaybookResult,
    registry: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> float:
    """models.lab by Compose; seconds that it took, images pulled before."""
    out = tmp_path_factory.mktemp("project")
    compose(composed.LAB, publish_monitoring=True).write(out)
    files = {
        str(path.relative_to(out)): path.read_text() for path in out.rglob("*.yaml")
    }
    program = (
        "import json, pathlib, sys\n"
        "for name, text in json.load(sys.stdin).items():\n"
        f"    path = pathlib.Path('{FOLDER}', name)\n"
        "    path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_text(text)\n"
    )
    host.run(["python3", "-c", program], text=json.dumps(files))
    project(host, "pull", seconds=400)
    start = time.monotonic()
    project(host, "up", "--detach", "--wait", seconds=400)
    return time.monotonic() - start


# The role


def test_check_mode_passes_before_the_first_apply(lab: Lab, role: list[str]) -> None:
    checked = lab.run_playbook(PLAYBOOK, *role, check=True)
    checked.check()
    assert checked.changes > 3
    assert not (lab.host("cp1").upper / "etc/docker").exists()


def test_the_role_again_changes_nothing(
    lab: Lab, role: list[str], engine: PlaybookResult
) -> None:
    assert engine.changes > 3
    again = lab.run_playbook(PLAYBOOK, *role)
    again.check()
    assert again.changes == 0


def test_docker_is_as_the_role_says(host: Host, engine: PlaybookResult) -> None:
    info = json.loads(docker(host, "info", "--format", "{{json .}}"))
    assert info["LiveRestoreEnabled"] is True
    assert info["LoggingDriver"] == "local"
    assert info["DefaultAddressPools"] == [{"Base": "198.19.0.0/16", "Size": 24}]
    assert info["Driver"] == "overlay2"
    assert docker(host, "compose", "version", "--short").strip() == (
        builds.group("compose").version().removeprefix("v")
    )
    bridge = docker(host, "network", "inspect", "bridge")
    assert "198.19.0" in bridge


def test_a_stopped_engine_is_started_again(
    lab: Lab, role: list[str], engine: PlaybookResult
) -> None:
    host = lab.host("cp1")
    host.run(["systemctl", "stop", "docker.socket", "docker.service"])
    result = lab.run_playbook(PLAYBOOK, *role)
    result.check()
    assert result.changes
    assert "docker.service" not in host.unwell_units()
    docker(host, "ps")


# The project


def test_every_service_is_healthy_or_done(host: Host, running: float) -> None:
    found = containers(host)
    assert len([name for name in found if "-employment-" in name]) >= 2
    for name, one in found.items():
        if one["State"] == "exited":
            assert one["ExitCode"] == 0, name
        else:
            assert one["Health"] == "healthy", name
    assert running < 120


def paths() -> list[str]:
    """Public prefixes of all models."""
    routes = composed.objects(composed.LAB).kind("HTTPRoute")
    values = {
        match["path"]["value"]
        for route in routes
        for rule in route["spec"]["rules"]
        if rule.get("backendRefs")
        for match in rule["matches"]
    }
    return sorted(v.removesuffix("/infer") for v in values if v.endswith("/infer"))


def test_answers_are_scikit_learns_for_every_model(host: Host, running: float) -> None:
    rows, expected = images.real_rows("employment", ROWS)
    prefixes = paths()
    assert "/employment/v1" in prefixes
    for prefix in prefixes:
        answer = httpx.post(
            url("gateway", f"{prefix}/v2/models/employment/infer"),
            content=oip.request(rows),
            headers={"x-request-id": "ours-7"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        found = oip.output(answer.json(), "probability")
        assert np.abs(found - expected).max() <= 1e-6, prefix
        assert answer.json()["id"] == "ours-7"


def test_the_gateway_logs_requests_as_json_with_their_id(
    host: Host, running: float
) -> None:
    def ours() -> list[dict[str, Any]]:
        lines = project(host, "logs", "--no-log-prefix", "gateway").splitlines()
        logged = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in logged if line["request_id"] == "ours-7"]

    # Envoy writes its log out each ten seconds.
    eventually(lambda: len(ours()) >= len(paths()), 30)
    assert {line["status"] for line in ours()} == {200}
    assert any("httproute/models/employment/" in line["route"] for line in ours())


def test_what_is_not_public_is_not_reached(host: Host, running: float) -> None:
    for path in ("/metrics", "/employment/v1/metrics", "/employment/v1/inferior"):
        assert httpx.get(url("gateway", path)).status_code == 404


def test_prometheus_has_the_series_of_every_replica(host: Host, running: float) -> None:
    eventually(lambda: not query("up == 0") and len(query("up")) > 5, 60)
    eventually(lambda: len(query('model_ready{app="model-server"} == 1')) >= 2, 60)
    (one,) = query('max by (namespace, model) (model_ready{namespace="models"})')
    assert one["metric"] == {"namespace": "models", "model": "employment"}
    rules = httpx.get(url("prometheus", "/api/v1/rules")).json()["data"]["groups"]
    named = {group["name"] for group in rules}
    assert "slipway/platform" in named
    assert any(name.startswith("models/") for name in named)
    assert all(r["health"] == "ok" for g in rules for r in g["rules"])


def test_containers_have_no_rights_and_no_way_out(host: Host, running: float) -> None:
    server = next(n for n in containers(host) if n.endswith("-employment-1"))
    status = docker(host, "exec", server, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] == "10001"
    assert int(fields["CapEff"], 16) == 0
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    # A port of the lab's bridge that nobody listens on: who gets there is refused.
    beyond = f"import socket; socket.create_connection(('{BRIDGE_ADDRESS}', 9), 3)"
    attempts = {
        "write": ("open('/app/x', 'w')", "Read-only file system"),
        "way out": (beyond, "timed out"),
        "monitoring": (
            "import socket; socket.create_connection(('alert-recorder', 9095), 3)",
            "gaierror",
        ),
    }
    for name, (program, said) in attempts.items():
        words = ["docker", "exec", server, "python3", "-c", program]
        done = host.run(words, check=False)
        assert done.returncode == 1, name
        assert said in done.stderr, (name, done.stderr)
    # The controls: what may be done works by the same means.
    reachable = "import socket; socket.create_connection(('gateway', 10080), 3)"
    docker(host, "exec", server, "python3", "-c", reachable)
    gateway = next(n for n in containers(host) if "-gateway-" in n)
    words = ["docker", "exec", gateway, "python3", "-c", beyond]
    assert "Connection refused" in host.run(words, check=False).stderr


def test_up_again_changes_nothing(host: Host, running: float) -> None:
    before = started(host)
    project(host, "up", "--detach", "--wait", seconds=200)
    after = started(host)
    kept = {n: s for n, s in containers(host).items() if s["State"] == "running"}
    assert {n: before[n] for n in kept} == {n: after[n] for n in kept}


def test_a_killed_replica_is_replaced_and_no_request_fails(
    host: Host, running: float
) -> None:
    server = next(n for n in containers(host) if n.endswith("-employment-1"))
    form = "{{.State.Pid}} {{.RestartCount}}"
    pid, count = docker(host, "inspect", "--format", form, server).split()
    rows, _ = images.real_rows("employment", 1)
    body, end = oip.request(rows), threading.Event()
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        with httpx.Client(timeout=20) as client:
            while not end.is_set():
                answer = client.post(
                    url("gateway", "/employment/v1/infer"), content=body
                )
                answers.append((answer.status_code, answer.text))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        time.sleep(1)
        # By its process: `docker kill` would be a wish that it stays away.
        host.run(["kill", "-KILL", pid])

        def healed() -> bool:
            shown = docker(
                host,
                "inspect",
                "--format",
                "{{.RestartCount}} {{.State.Health.Status}}",
                server,
            ).split()
            return int(shown[0]) > int(count) and shown[1] == "healthy"

        eventually(healed, 60)
    finally:
        end.set()
        asking.join()
    assert len(answers) > 100
    failed = [answer for answer in answers if answer[0] != 200]
    # What it was working on dies with it: one request, for one client asks here.
    assert len(failed) <= 1, failed


def test_an_alert_fires_when_the_model_is_stopped(host: Host, running: float) -> None:
    assert "ModelWithoutReadyReplica" not in firing()
    project(host, "stop", "employment", seconds=120)
    # Callers hear of it in time, not when their own patience ends.
    answer = httpx.get(url("gateway", "/employment/v1/v2/health/ready"), timeout=4)
    assert answer.status_code == 503
    eventually(lambda: "ModelWithoutReadyReplica" in firing(), 60)

    def recorded() -> bool:
        return "ModelWithoutReadyReplica" in httpx.get(url("alerts", "/alerts")).text

    eventually(recorded, 30)
    project(host, "up", "--detach", "--wait", seconds=200)
    eventually(lambda: "ModelWithoutReadyReplica" not in firing(), 90)


def test_down_leaves_nothing(host: Host, running: float) -> None:
    project(host, "down", "--volumes", "--timeout", "40", seconds=200)
    assert docker(host, "ps", "--all", "--quiet") == ""
    assert docker(host, "volume", "ls", "--quiet") == ""
    networks = docker(host, "network", "ls", "--format", "{{.Name}}").split()
    assert sorted(networks) == ["bridge", "host", "none"]
    mounts = host.run(["cat", "/proc/mounts"]).stdout
    assert "/var/lib/docker/overlay2" not in mounts
    links = host.run(["ip", "-oneline", "link"]).stdout
    assert "veth" not in links
    assert not [p for p in Path("/proc/mounts").read_text().splitlines() if FOLDER in p]
