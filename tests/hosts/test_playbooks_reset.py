"""`reset.yml` on the nodes that the other playbooks made: the end of their story."""

from __future__ import annotations

import os
import platform

import pytest

from lab.lab import PLAYBOOK, Lab
from lab.playbook import PlaybookResult
from tests.hosts.conftest import PROGRAMS, ready

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or os.geteuid() != 0,
    reason="hosts in namespaces need Linux and root",
)


def test_reset_asks_first_then_leaves_nothing(
    lab: Lab, converged: PlaybookResult
) -> None:
    reset = PLAYBOOK.with_name("reset.yml")
    refused = lab.run_playbook(reset)
    assert not refused.succeeded
    assert "Add --extra-vars reset_confirmed=true" in " ".join(refused.output.split())
    assert ready(lab) == {"cp1": True, "w1": True}
    words = f"reset_confirmed=true cluster_bin_dir={PROGRAMS}"
    lab.run_playbook(reset, "--extra-vars", words).check()
    for host in lab.hosts():
        left = host.run(
            ["sh", "-c", "ls -A /etc/kubernetes /var/lib/etcd"], check=False
        )
        assert left.stdout.split() in ([], ["/var/lib/etcd:"])
        units = host.run(["systemctl", "list-units", "--plain", "kube*", "etcd*"])
        assert "0 loaded units listed" in units.stdout
