"""The inventory that playbooks get, and what their recap says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import inventory
from lab.playbook import PlaybookResult
from lab.settings import LabSettings
from lab.ssh import Keys
from toolchain.errors import OperatorError

RECAP = """\
TASK [x] ****
changed: [w1]

PLAY RECAP *********************************************************************
cp1                        : ok=4    changed=2    unreachable=0    failed=0    \
skipped=1    rescued=0    ignored=0
w1                         : ok=3    changed=0    unreachable=1    failed=1    \
skipped=0    rescued=0    ignored=0
"""


def test_groups_and_addresses(tmp_path: Path) -> None:
    tree = inventory.inventory(LabSettings(workers=2), Keys(tmp_path))["all"]
    assert sorted(tree["hosts"]) == ["cp1", "w1", "w2"]
    assert tree["hosts"]["w2"]["ansible_host"] == "198.18.0.13"
    assert tree["hosts"]["w2"]["node_pod_cidr"] == "198.18.66.0/24"
    groups = tree["children"]
    assert list(groups["workers"]["hosts"]) == ["w1", "w2"]
    assert list(groups["control_plane"]["hosts"]) == ["cp1"]
    assert list(groups["registry"]["hosts"]) == ["cp1"]
    assert sorted(groups["kubernetes"]["children"]) == ["control_plane", "workers"]


def test_only_the_labs_own_keys_are_trusted(tmp_path: Path) -> None:
    variables = inventory.inventory(LabSettings(), Keys(tmp_path))["all"]["vars"]
    arguments = variables["ansible_ssh_common_args"]
    assert "StrictHostKeyChecking=yes" in arguments
    assert f"UserKnownHostsFile={tmp_path}/keys/known_hosts" in arguments


def test_the_file_is_written_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    inventory.write(path, LabSettings(), Keys(tmp_path))
    first = path.stat()
    inventory.write(path, LabSettings(), Keys(tmp_path))
    assert path.stat().st_mtime_ns == first.st_mtime_ns
    inventory.write(path, LabSettings(workers=2), Keys(tmp_path))
    assert "w2" in json.loads(path.read_text())["all"]["hosts"]


def test_a_recap_is_counted_by_host() -> None:
    result = PlaybookResult.parse(2, RECAP)
    assert result.ok == {"cp1": 4, "w1": 3}
    assert result.changed == {"cp1": 2, "w1": 0}
    assert result.changes == 2
    assert result.failed == {"cp1": 0, "w1": 1}
    assert result.unreachable == {"cp1": 0, "w1": 1}
    with pytest.raises(OperatorError, match="ended with 2"):
        result.check()


def test_a_run_that_died_before_its_recap_has_no_counts() -> None:
    result = PlaybookResult.parse(1, "ERROR! the playbook could not be found\n")
    assert (result.ok, result.changes, result.succeeded) == ({}, 0, False)
