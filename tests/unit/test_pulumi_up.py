"""`pulumi up`: the folder `stacks` run as a program, as Pulumi's language host does.

The language host is not part of the toolchain that we build, so its steps are taken
here: settings in the environment, the folder run by runpy, the test monitor answering.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from slipway import stack_files
from slipway.rendering.render import render
from tests.support.fake_cluster import FakeCluster
from toolchain import paths

HOST = """
import asyncio, json, runpy, sys
from pulumi.runtime.settings import Settings, configure
from pulumi.runtime.stack import run_in_stack
from slipway.rendering.recorder import Recording, RecordingEngine, RecordingMonitor

recording = Recording()
configure(
    Settings(
        project="slipway",
        stack="models.lab",
        monitor=RecordingMonitor(recording, "slipway", "models.lab"),
        engine=RecordingEngine(recording),
        dry_run=sys.argv[2] == "preview",
        organization="organization",
    )
)
# The host starts outside of the checkout, which is then on the path by nobody's doing.
folder = sys.argv[1]
sys.path[:] = [p for p in sys.path if p not in ("", folder.rpartition("/")[0])]
for name in [n for n in sys.modules if n.split(".")[0] in ("stacks", "platform")]:
    del sys.modules[name]
program = lambda: runpy.run_path(folder, run_name="__main__") and None
asyncio.run(run_in_stack(program))
import platform
print(json.dumps([sorted(r.urn for r in recording.resources), platform.system()]))
"""


class AnyImages(dict[str, str]):
    """A lock with a reference for every name that the stacks use."""

    EXAMPLES = ("example-fastapi", "example-flask", "example-django")
    MONITORING = (
        *("log-shipper", "model-attributions", "model-console"),
        "model-monitor",
    )
    NAMES = ("model-server", "employment", *MONITORING, *EXAMPLES)

    def __init__(self) -> None:
        digest = "sha256:" + "0" * 64
        super().__init__(
            {name: f"registry.lab:5000/slipway/{name}@{digest}" for name in self.NAMES}
        )


def answer(fake: FakeCluster, request: BaseHTTPRequestHandler) -> None:
    url, headers = f"https://cluster{request.path}", dict(request.headers)
    found = fake.answer(httpx.Request("GET", url, headers=headers))
    request.send_response(found.status_code)
    request.end_headers()
    request.wfile.write(found.content)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """An API server in the place of the lab's, empty at first."""
    fake = FakeCluster()
    quiet = {"do_GET": lambda self: answer(fake, self), "log_message": lambda *_: None}
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (BaseHTTPRequestHandler,), quiet)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = paths.state() / "labs" / "lab" / "kubeconfig"
    file.parent.mkdir(parents=True)
    url = f"http://127.0.0.1:{server.server_port}"
    entry = {"cluster": {"server": url}, "context": {"cluster": "x"}}
    content = {f"{kind}s": [{"name": "x", kind: entry[kind]}] for kind in entry}
    file.write_text(json.dumps({"current-context": "x", **content}))
    yield fake
    server.shutdown()
    server.server_close()


def run(tmp_path: Path, verb: str = "up") -> subprocess.CompletedProcess[str]:
    lock = tmp_path / "images.lock"
    lock.write_text(json.dumps(AnyImages()))
    environment = os.environ | {
        "PYTHONPATH": str(paths.ROOT),
        "PULUMI_CONFIG": json.dumps(stack_files.program_config("models.lab")),
        "SLIPWAY_IMAGES_LOCK": str(lock),
    }
    return subprocess.run(
        [sys.executable, "-c", HOST, paths.ROOT / "stacks", verb],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_folder_run_as_a_program_declares_what_is_rendered(
    tmp_path: Path, cluster: FakeCluster
) -> None:
    service(cluster, "pulumi-kubernetes-1a2b3c4d")  # of a version without our label
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    urns, system = json.loads(done.stdout.splitlines()[-1])
    assert urns == render("models.lab", images=AnyImages()).urns
    assert len(urns) > 5
    assert system, "stacks/platform.py hides the standard library's platform"
    assert cluster.calls, "the cluster was not asked"


def service(cluster: FakeCluster, manager: str) -> None:
    """One of the stack's objects is there; Pulumi applies, kubectl create does not."""
    (found,) = (
        m
        for m in render("models.lab", images=AnyImages()).manifests
        if (m["kind"], m["metadata"]["name"]) == ("Service", "employment")
    )
    operation = "Apply" if manager.startswith("pulumi") else "Update"
    fields = [{"manager": manager, "operation": operation}]
    cluster.add_manifest(found, managedFields=fields)


@pytest.mark.parametrize("verb", ["up", "preview"])
def test_what_others_made_is_refused_before_anything_is_declared(
    tmp_path: Path, cluster: FakeCluster, verb: str
) -> None:
    service(cluster, "kubectl-create")
    done = run(tmp_path, verb)
    assert done.returncode != 0
    assert done.stdout == "", "the program ran on"
    said = done.stderr.rpartition("RunError: ")[2]
    assert "Service/models/employment: 'managed by kubectl-create'" in said
    assert "does not have the label of models.lab" in said
    assert "fix: give another name (models), or add Service/models/employment" in said


def test_a_cluster_that_cannot_be_asked_stops_up_and_no_preview(
    tmp_path: Path, cluster: FakeCluster
) -> None:
    (paths.state() / "labs" / "lab" / "kubeconfig").unlink()
    done = run(tmp_path)
    assert done.returncode != 0
    assert "could not be checked: there is no kubeconfig" in done.stderr
    assert run(tmp_path, "preview").returncode == 0
