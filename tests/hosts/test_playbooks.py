"""The roles on hosts of their own: fresh, configured, configured again, disturbed.

The tests of this file are one story and run in its order; what a test needs of the
story it asks for as a fixture. The files after it go on with the same hosts.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import cgroups
from lab.host import Host
from lab.lab import PLAYBOOK, Lab
from lab.playbook import PlaybookResult
from tests.hosts.conftest import PROGRAMS, kubectl, ready

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or os.geteuid() != 0,
    reason="hosts in namespaces need Linux and root",
)

TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
CHANGED_PODS = "77"


def shown(host: Host, unit: str, name: str) -> str:
    command = ["systemctl", "show", "--value", f"--property={name}", unit]
    return host.run(command).stdout.strip()


def eventually(holds: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_wrong_type_is_refused_by_name_before_anything_is_done(lab: Lab) -> None:
    wrong = "cluster_api_port=https"
    result = lab.run_playbook(PLAYBOOK, "--extra-vars", wrong)
    assert not result.succeeded
    assert "cluster_api_port" in result.output
    assert "cannot be converted to an int" in result.output
    assert result.changes == 0


def test_hosts_that_share_addresses_are_refused(lab: Lab) -> None:
    same = "node_pod_cidr=198.18.64.0/24"
    result = lab.run_playbook(PLAYBOOK, "--extra-vars", same)
    assert not result.succeeded
    said = " ".join(result.output.split())
    assert "node_pod_cidr of cp1, w1 is 198.18.64.0/24, 198.18.64.0/24" in said
    assert "cp1 is 198.18.64.0/24 and overlaps node_pod_cidr of w1" in said
    assert "Set one IPv4 network for each host" in said
    assert result.changes == 0


def test_an_address_of_another_host_is_refused(lab: Lab) -> None:
    result = lab.run_playbook(PLAYBOOK, "--extra-vars", "node_address=192.0.2.1")
    assert not result.succeeded
    said = " ".join(result.output.split())
    assert "node_address of w1 is 192.0.2.1" in said
    assert "one of 198.18.0.12" in said


def test_check_mode_passes_before_the_first_apply(
    lab: Lab, checked: PlaybookResult
) -> None:
    checked.check()
    assert checked.failed == {"cp1": 0, "w1": 0}
    assert all(count > 10 for count in checked.changed.values())
    for host in lab.hosts():
        assert host.run(["test", "-e", "/etc/kubernetes"], check=False).returncode


def test_fresh_hosts_become_ready_nodes(lab: Lab, converged: PlaybookResult) -> None:
    assert converged.failed == {"cp1": 0, "w1": 0}
    assert ready(lab) == {"cp1": True, "w1": True}
    for host in lab.hosts():
        assert host.run(["systemctl", "--failed", "--no-legend"]).stdout == ""


def test_a_second_run_changes_nothing(lab: Lab, converged: PlaybookResult) -> None:
    result = lab.run_playbook(PLAYBOOK)
    result.check()
    changed = [line for line in result.output.splitlines() if line.startswith("chan")]
    assert (changed, result.changes) == ([], 0)


def test_no_secret_is_printed_or_left_readable(
    lab: Lab, converged: PlaybookResult
) -> None:
    assert not TOKEN.search(converged.output)
    assert "PRIVATE KEY" not in converged.output
    assert "client-key-data" not in converged.output
    secrets = ["-name", "*.conf", "-o", "-name", "*.key", "-o", "-name", "enc*.yaml"]
    for host in lab.hosts():
        find = ["find", "/etc/kubernetes", "(", *secrets, ")", "-printf", "%m %f\n"]
        lines = host.run(find).stdout.splitlines()
        found = {name: mode for mode, _, name in (x.partition(" ") for x in lines)}
        assert {"kubelet.conf", "kube-proxy.conf"} <= set(found)
        assert set(found.values()) == {"600"}
        assert "bootstrap-kubelet.conf" not in found


def test_secrets_are_encrypted_in_etcd(lab: Lab, converged: PlaybookResult) -> None:
    kubectl(lab, "create", "secret", "generic", "canary", "--from-literal=k=c4n4ry")
    pki = "/etc/kubernetes/pki/etcd"
    files = [f"--cacert={pki}/ca.crt", f"--cert={pki}/server.crt"]
    get = ["get", "/registry/secrets/default/canary", "--print-value-only"]
    command = [f"{PROGRAMS}/etcdctl", *files, f"--key={pki}/server.key", *get]
    held = lab.host("cp1").run(["sh", "-c", '"$@" | tr -cd " -~"', "", *command]).stdout
    assert "k8s:enc:secretbox:v1:key1:" in held
    assert "c4n4ry" not in held


def test_the_audit_log_names_who_but_not_what(
    lab: Lab, converged: PlaybookResult
) -> None:
    log = lab.host("cp1").run(["cat", "/var/log/kubernetes/audit.log"]).stdout
    events = [json.loads(line) for line in log.splitlines()]
    created = [
        event
        for event in events
        if event.get("objectRef", {}).get("resource") == "secrets"
        and event["objectRef"].get("name") == "canary"
    ]
    assert created[0]["user"]["username"] == "kubernetes-admin"
    assert "requestObject" not in created[0]
    assert "c4n4ry" not in log


@pytest.mark.parametrize(
    ("path", "status"), [("/readyz", "200"), ("/api", "401"), ("/version", "401")]
)
def test_nobody_is_anonymous_but_for_health(
    lab: Lab, converged: PlaybookResult, path: str, status: str
) -> None:
    ask = ["curl", "--silent", "--cacert", "/etc/kubernetes/pki/ca.crt"]
    ask += ["--output", "/dev/null", "--write-out", "%{http_code}"]
    answer = lab.host("w1").run([*ask, f"https://198.18.0.11:6443{path}"])
    assert answer.stdout == status


def test_hosts_route_to_each_others_pods(lab: Lab, converged: PlaybookResult) -> None:
    routes = lab.host("w1").run(["ip", "route"]).stdout
    assert "198.18.64.0/24 via 198.18.0.11 dev eth0 proto 84" in routes
    assert "198.18.65.0/24 via" not in routes


@pytest.mark.parametrize("unit", ["containerd", "kubelet", "kube-proxy"])
def test_a_killed_service_comes_back(
    lab: Lab, converged: PlaybookResult, unit: str
) -> None:
    host = lab.host("w1")
    killed = shown(host, unit, "MainPID")
    host.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit])
    eventually(lambda: shown(host, unit, "MainPID") not in {killed, "0"})
    eventually(lambda: shown(host, unit, "ActiveState") == "active")
    eventually(lambda: ready(lab) == {"cp1": True, "w1": True})


def test_a_run_killed_before_its_handlers_is_completed_by_the_next(
    lab: Lab, converged: PlaybookResult
) -> None:
    """The change is on the disk, its notification lost; another host has drifted."""
    change = ["--extra-vars", f"kubelet_max_pods={CHANGED_PODS}"]
    host = lab.host("w1")
    before = shown(host, "kubelet", "MainPID")

    def kill_after_the_change(line: str) -> None:
        if line.startswith("TASK [kubelet : Define the service]"):
            tree = cgroups.Cgroups.read(lab.folder / "cgroups.json")
            assert tree
            tree.kill(cgroups.RUNS)

    killed = lab.run_playbook(PLAYBOOK, *change, each_line=kill_after_the_change)
    assert not killed.succeeded
    assert not killed.ok
    written = host.run(["cat", "/etc/kubernetes/kubelet.yaml"]).stdout
    assert f"maxPods: {CHANGED_PODS}\n" in written
    assert shown(host, "kubelet", "MainPID") == before

    lab.host("cp1").run(["systemctl", "disable", "--now", "kube-proxy"])
    lab.run_playbook(PLAYBOOK, *change).check()
    assert shown(host, "kubelet", "MainPID") != before
    pods = "jsonpath={.items[*].status.capacity.pods}"
    runs = [CHANGED_PODS, CHANGED_PODS]
    eventually(lambda: kubectl(lab, "get", "nodes", "--output", pods).split() == runs)
    proxy = lab.host("cp1")
    assert shown(proxy, "kube-proxy", "ActiveState") == "active"
    assert shown(proxy, "kube-proxy", "UnitFileState") == "enabled"
    assert ready(lab) == {"cp1": True, "w1": True}


def binaries_playbook(folder: Path, script: str) -> Path:
    """A playbook that copies a folder whose only program is `script` to w1."""
    source = folder / "bin"
    source.mkdir()
    (source / "kubeadm").write_text(f"#!/bin/sh\n{script}\n")
    play = {
        "name": "Bring programs",
        "hosts": "w1",
        "gather_facts": False,
        "vars": {"binaries_source": str(source), "cluster_bin_dir": "/opt/other/bin"},
        "roles": [{"role": "binaries"}],
    }
    path = folder / "binaries.yml"
    path.write_text(json.dumps([play]))
    return path


def test_programs_come_from_the_controller(lab: Lab, tmp_path: Path) -> None:
    path = binaries_playbook(tmp_path, "echo v9.9.9")
    lab.run_playbook(path, check=True).check()
    first = lab.run_playbook(path)
    first.check()
    assert first.changed == {"w1": 1}
    assert lab.run_playbook(path).changes == 0
    ran = lab.host("w1").run(["/opt/other/bin/kubeadm", "version"])
    assert ran.stdout == "v9.9.9\n"


def test_programs_that_do_not_run_are_refused(lab: Lab, tmp_path: Path) -> None:
    path = binaries_playbook(tmp_path, "echo wrong machine >&2; exit 1")
    result = lab.run_playbook(path)
    assert not result.succeeded
    said = " ".join(result.output.split())
    assert "/opt/other/bin/kubeadm on w1 does not run: wrong machine." in said
