"""Hosts that the playbooks' tests share, from bare ones to nodes that are reset."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab import requirements
from lab.lab import PLAYBOOK, Lab
from lab.playbook import PlaybookResult
from lab.settings import LabSettings

SETTINGS = LabSettings(workers=1, port_offset=3000)
PROGRAMS = "/opt/slipway/bin"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Booted hosts that have the programs and nothing else."""
    if missing := requirements.missing():
        pytest.fail(f"Debian packages are missing: {' '.join(missing)}")
    lab = Lab("hosts-test", SETTINGS)
    lab.wipe()  # left by a test run that was killed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lab, "_kubernetes", lambda *_: None)
        lab.up()
    yield lab
    lab.wipe()


@pytest.fixture(scope="session")
def checked(lab: Lab) -> PlaybookResult:
    return lab.run_playbook(PLAYBOOK, check=True)


@pytest.fixture(scope="session")
def converged(lab: Lab, checked: PlaybookResult) -> PlaybookResult:
    result = lab.run_playbook(PLAYBOOK)
    result.check()
    return result


def kubectl(lab: Lab, *words: str, text: str | None = None) -> str:
    admin = "--kubeconfig=/etc/kubernetes/admin.conf"
    command = [f"{PROGRAMS}/kubectl", admin, *words]
    return lab.host("cp1").run(command, text=text).stdout


def ready(lab: Lab) -> dict[str, bool]:
    """Whether each node is Ready, by name."""
    nodes = json.loads(kubectl(lab, "get", "nodes", "--output=json"))["items"]
    return {
        node["metadata"]["name"]: any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in node["status"]["conditions"]
        )
        for node in nodes
    }
