"""States and locks that killed runs leave."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from slipway.engine import locks, processes, recovery

URN = "urn:pulumi:models.lab::slipway::kubernetes:core/v1:Service::web"
SERVICE = {
    "urn": URN,
    "type": "kubernetes:core/v1:Service",
    "custom": True,
    "inputs": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "models"},
    },
}


def state(*operations: dict[str, Any], known: tuple[Any, ...] = ()) -> dict[str, Any]:
    deployment = {"resources": list(known), "pending_operations": list(operations)}
    return {"version": 3, "deployment": deployment}


def test_a_pending_creation_of_an_object_is_entered_for_the_refresh() -> None:
    before = state({"type": "creating", "resource": SERVICE})
    kept = copy.deepcopy(before)
    recovered = recovery.recover(before)
    assert before == kept
    (entered,) = recovered.state["deployment"]["resources"]
    assert entered["id"] == "models/web"
    assert entered["outputs"]["metadata"] == {"name": "web", "namespace": "models"}
    assert entered["outputs"]["__initialApiVersion"] == "v1"
    assert recovery.pending(recovered.state) == []
    assert recovered.adopted == ["Service web"]


def test_what_the_state_knows_is_simply_done_again() -> None:
    updating = {"type": "updating", "resource": SERVICE}
    replacing = {"type": "creating", "resource": SERVICE}
    recovered = recovery.recover(state(updating, replacing, known=(SERVICE,)))
    assert recovered.state["deployment"]["resources"] == [SERVICE]
    assert recovered.repeated == ["updating Service web", "replacing Service web"]


def test_a_cloud_resource_is_not_guessed_at() -> None:
    bucket = {"urn": "urn:pulumi:a::b::aws:s3/b:B::data", "type": "aws:s3/b:B"}
    operation = {"type": "creating", "resource": bucket | {"custom": True}}
    recovered = recovery.recover(state(operation))
    assert recovered.unknown == [bucket["urn"]]
    assert recovered.adopted == []


def test_a_state_without_operations_has_none() -> None:
    assert recovery.pending({"version": 3, "deployment": {}}) == []
    assert recovery.pending({"deployment": None}) == []


def take(backend: Path, pid: int, **content: Any) -> Path:
    folder = locks.folder(backend, "slipway", "models.lab")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "lock.json"
    default = {
        "pid": pid,
        "username": "root",
        "hostname": socket.gethostname(),
        "timestamp": datetime.now(UTC).isoformat(),
    }
    file.write_text(json.dumps(default | content))
    return file


def clear(backend: Path) -> list[str]:
    said: list[str] = []
    locks.clear_stale(backend, "slipway", "models.lab", said.append)
    return said


@pytest.fixture
def engine_like(tmp_path: Path) -> Any:
    """Starts processes that are called `pulumi` and belong to a given Slipway."""
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    started: list[subprocess.Popen[bytes]] = []

    def start(owner: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {processes.RUN_VARIABLE: owner}
        # A shell's background job ignores SIGINT, and so would what it starts; the
        # engine itself catches it in any case.
        command = ["env", "--default-signal=INT", str(program), "60"]
        started.append(subprocess.Popen(command, env=environment))
        while processes.name(started[-1].pid) != "pulumi":
            time.sleep(0.01)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_cleared(tmp_path: Path) -> None:
    file = take(tmp_path, dead())
    assert len(clear(tmp_path)) == 1
    assert not file.exists()
    assert clear(tmp_path) == []


def test_a_number_that_another_process_got_is_no_holder(
    tmp_path: Path, engine_like: Any
) -> None:
    process = engine_like(processes.own_mark())
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    file = take(tmp_path, process.pid, timestamp=an_hour_ago)
    clear(tmp_path)
    assert not file.exists()
    assert process.poll() is None, "a stranger was ended"


def test_an_engine_that_ends_while_it_is_judged_holds_nothing(
    tmp_path: Path, engine_like: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables are gone when its owner is looked for."""
    process = engine_like(f"{dead()}:1")
    file = take(tmp_path, process.pid)
    asked: list[int] = []

    def environment(pid: int) -> bytes:
        asked.append(pid)
        if len(asked) == 1:
            return b"A=1"
        process.kill()
        process.wait()
        return b""

    monkeypatch.setattr(processes, "_environment", environment)
    clear(tmp_path)
    assert not file.exists()


def test_the_lock_of_a_living_run_is_respected(
    tmp_path: Path, engine_like: Any
) -> None:
    pid = engine_like(processes.own_mark()).pid
    file = take(tmp_path, pid)
    since = json.loads(file.read_text())["timestamp"][:19]
    with pytest.raises(locks.LockedError) as error:
        clear(tmp_path)
    assert str(error.value) == (
        f"models.lab is being changed by another run (root@{socket.gethostname()}, pid "
        f"{pid}, since {since}). Wait until it ends. If it no longer runs, delete "
        f"{file} and run again"
    )
    assert file.exists()


def test_an_engine_that_is_about_to_end_is_awaited(
    tmp_path: Path, engine_like: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel lists it, and shows nothing of it any more."""
    process = engine_like(f"{dead()}:1")
    file = take(tmp_path, process.pid)
    looks = 0

    def nothing(_: int) -> bytes:
        nonlocal looks
        looks += 1
        if looks == 3:
            process.kill()
            process.wait()
        return b""

    monkeypatch.setattr(processes, "_environment", nothing)
    assert len(clear(tmp_path)) == 1
    assert not file.exists()


def test_the_lock_of_another_host_is_respected(tmp_path: Path) -> None:
    file = take(tmp_path, dead(), hostname="elsewhere")
    with pytest.raises(locks.LockedError, match=r"\(root@elsewhere, pid "):
        clear(tmp_path)
    assert file.exists()


def test_a_lock_without_a_time_is_its_engines(tmp_path: Path, engine_like: Any) -> None:
    file = take(tmp_path, engine_like(processes.own_mark()).pid, timestamp="lately")
    with pytest.raises(locks.LockedError):
        clear(tmp_path)
    take(tmp_path, os.getppid(), timestamp="lately")  # no engine, but it lives
    clear(tmp_path)
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "{", '{"pid": 0}'])
def test_a_lock_that_names_nobody_is_cleared(tmp_path: Path, text: str) -> None:
    file = take(tmp_path, 1)
    file.write_text(text)
    clear(tmp_path)
    assert not file.exists()


def test_locks_are_where_the_engine_keeps_them(tmp_path: Path) -> None:
    """https://github.com/pulumi/pulumi/blob/master/pkg/backend/diy/lock.go"""
    place = tmp_path / ".pulumi/locks/organization/slipway/models.lab"
    assert locks.folder(tmp_path, "slipway", "models.lab") == place


def test_the_engine_of_a_killed_run_is_ended(tmp_path: Path, engine_like: Any) -> None:
    process = engine_like(f"{dead()}:1")
    file = take(tmp_path, process.pid)
    said = clear(tmp_path)
    assert not file.exists()
    assert process.wait(5) == -signal.SIGINT
    assert said[0].startswith("An engine of a killed run")


def test_processes_are_distinguished() -> None:
    own = os.getpid()
    started = processes.started_at(own)
    assert started is not None
    assert 0 <= time.time() - started < 24 * 3600
    assert processes.start_ticks(dead()) is None
    assert not processes.is_orphan(own)


def applied(manager: str, *real: str) -> dict[str, Any]:
    fields = [{"manager": name, "operation": "Apply"} for name in real]
    fields.append({"manager": "kube-controller-manager", "operation": "Update"})
    outputs = {"__fieldManager": manager, "metadata": {"managedFields": fields}}
    return {**SERVICE, "outputs": outputs}


def test_the_manager_that_an_object_really_has_is_taken_over() -> None:
    lost = applied("pulumi-kubernetes-new", "pulumi-kubernetes-old")
    before = {"deployment": {"resources": [lost]}}
    state, changed = recovery.with_real_managers(before)
    assert changed
    (resource,) = state["deployment"]["resources"]
    assert resource["outputs"]["__fieldManager"] == "pulumi-kubernetes-old"
    assert lost["outputs"]["__fieldManager"] == "pulumi-kubernetes-new"


@pytest.mark.parametrize(
    "resource",
    [
        applied("pulumi-kubernetes-a", "pulumi-kubernetes-a"),
        applied("pulumi-kubernetes-a", "kubectl"),
        applied("pulumi-kubernetes-a", "pulumi-kubernetes-b", "pulumi-kubernetes-c"),
        SERVICE,
    ],
)
def test_managers_that_are_right_or_unclear_stay(resource: dict[str, Any]) -> None:
    before = {"deployment": {"resources": [resource]}}
    assert recovery.with_real_managers(before) == (before, False)
