"""Variables of roles reach Kubernetes as text; what it would refuse is told first."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from toolchain import paths

ROLES = paths.ROOT / "playbooks" / "roles"
PLUGINS = ROLES / "cluster" / "filter_plugins"


def plugin(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PLUGINS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


values = plugin("kubernetes_values")
networks = plugin("cluster_networks")
ports = plugin("cluster_ports")


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (1, "1"), (0.5, "0.5"), (None, ""), ("a", "a")],
)
def test_scalars_become_kubernetes_text(value: Any, text: str) -> None:
    assert values.kubernetes_text(value) == text


RIGHT: list[dict[str, Any]] = [
    {},
    {"kubelet_system_reserved": {"cpu": 1, "memory": "256Mi", "pid": 1000}},
    {"kubelet_system_reserved": {"cpu": 0.5, "ephemeral-storage": "1e9"}},
    {"kubelet_eviction_hard": {"imagefs.available": "15%", "memory.available": "1Gi"}},
    {
        "kubelet_labels": {
            "example.org/spot": True,
            "rack": 7,
            "empty": "",
            "none": None,
        }
    },
    {"kubelet_labels": {"node.kubernetes.io/pool": "a", "kubernetes.io/os": "linux"}},
    {"kubelet_taints": [{"key": "a/b", "value": True, "effect": "NoSchedule"}]},
    {"kubelet_shutdown_grace_period": "1m30s", "kubelet_token_ttl": "0"},
    {"control_plane_hpa_sync_period": "1.5s"},
]
WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"kubelet_system_reserved": {"cpu": "one"}},
        "reserved.cpu: 'one' is not a quantity",
    ),
    (
        {"kubelet_system_reserved": {"cpu": True}},
        "reserved.cpu: True is not a quantity",
    ),
    ({"kubelet_system_reserved": {"cpu": -1}}, "cpu: -1 is not a quantity"),
    ({"kubelet_system_reserved": {"memory": "1GB"}}, "'1GB' is not a quantity"),
    ({"kubelet_system_reserved": {"gpu": 1}}, "reserved.gpu: it is not one of cpu"),
    ({"kubelet_system_reserved": "1Gi"}, "reserved is '1Gi': give a mapping"),
    ({"kubelet_eviction_hard": {"memory.free": "1Gi"}}, "it is not one of memory"),
    ({"kubelet_eviction_hard": {"memory.available": "110%"}}, "not a share below 100%"),
    ({"kubelet_eviction_hard": {"memory.available": "x%"}}, "not a share below 100%"),
    ({"kubelet_labels": {"a b": "c"}}, "'a b' is not a name"),
    ({"kubelet_labels": {"Example/a": "c"}}, "'Example' is not a domain"),
    ({"kubelet_labels": {"a": "x" * 64}}, "is not a value of at most 63"),
    ({"kubelet_labels": {"a": "-x"}}, "'-x' is not a value"),
    ({"kubelet_labels": {"version": 1.10}}, "reads it as the number 1.1"),
    ({"kubelet_labels": {"node-role.kubernetes.io/gpu": ""}}, "of Kubernetes' own"),
    ({"kubelet_taints": [{"effect": "NoSchedule"}]}, "taints[0].key: '' is not a name"),
    ({"kubelet_taints": [{"key": "a", "value": 1.0}]}, "taints[0].value: YAML reads"),
    ({"kubelet_taints": ["a=b"]}, "taints[0] is 'a=b': give key"),
    (
        {"kubelet_taints": [{"key": "a", "effect": "NoExecute"}] * 2},
        "taints[1]: a:NoExecute is there twice",
    ),
    ({"kubelet_shutdown_grace_period": 60}, "60 is not a duration, such as 60s"),
    ({"kubelet_token_ttl": "ten"}, "'ten' is not a duration"),
    ({"control_plane_hpa_sync_period": 15}, "sync_period: 15 is not a duration"),
]


@pytest.mark.parametrize("variables", RIGHT, ids=str)
def test_what_kubernetes_takes_passes(variables: dict[str, Any]) -> None:
    assert values.kubernetes_problems(variables) == []


@pytest.mark.parametrize(("variables", "said"), WRONG, ids=[s for _, s in WRONG])
def test_what_kubernetes_refuses_is_reported(
    variables: dict[str, Any], said: str
) -> None:
    (problem,) = values.kubernetes_problems(variables)
    assert said in problem


def test_all_problems_are_reported_together() -> None:
    both = {**WRONG[0][0], **WRONG[9][0]}
    assert len(values.kubernetes_problems(both)) == 2


def test_every_duration_is_a_variable_of_a_role() -> None:
    known: dict[str, Any] = {}
    for role in ("kubelet", "control_plane"):
        known |= yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    assert set(values.DURATIONS) <= set(known)
    assert values.kubernetes_problems(known) == [], "the defaults are right"
    durations = {
        name
        for name, value in known.items()
        if isinstance(value, str) and values._DURATION.fullmatch(value)
    }
    assert durations == set(values.DURATIONS)


CLUSTER = {
    "pod_network": "10.244.0.0/16",
    "service_network": "10.96.0.0/16",
    "dns_address": "10.96.0.10",
}


def node(name: str, pods: Any, address: str = "192.0.2.1") -> dict[str, Any]:
    return {"name": name, "pods": pods, "address": address}


TWO = [node("a", "10.244.0.0/24"), node("b", "10.244.1.0/24", "192.0.2.2")]


@pytest.mark.parametrize(
    "given", [(6443,), ("8443", ":5000"), (6443, "127.0.0.1:5000")]
)
def test_ports_of_their_own_pass(given: tuple[Any, ...]) -> None:
    assert ports.port_problems(*given) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((10250,), "cluster_api_port has the port 10250, which is the kubelet's"),
        ((2379,), "which is etcd's"),
        ((30080,), "which Services may get on nodes"),
        (("https",), "has the port 'https': give one from 1 to 65535"),
        ((0,), "give one from 1 to 65535"),
        ((6443, ":6443"), "registry_address has the port 6443, and so has cluster_api"),
        (
            (6443, ":10256"),
            "registry_address has the port 10256, which is kube-proxy's",
        ),
        ((6443, "192.0.2.1"), "registry_address has the port '192.0.2.1'"),
    ],
)
def test_ports_that_clash_are_reported(given: tuple[Any, ...], said: str) -> None:
    assert any(said in problem for problem in ports.port_problems(*given))


def test_networks_side_by_side_pass() -> None:
    assert networks.network_problems(TWO, CLUSTER) == []


@pytest.mark.parametrize(
    ("nodes", "cluster", "said"),
    [
        ([node("a", "999.1.2.3/77")], {}, "node_pod_cidr of a is '999.1.2.3/77': "),
        ([node("a", "")], {}, "node_pod_cidr of a is not set"),
        ([node("a", 10.24)], {}, "node_pod_cidr of a is 10.24: give an IPv4 network"),
        ([node("a", "10.244.0.0")], {}, "give an IPv4 network such as"),
        (
            [node("a", "10.244.0.7/24")],
            {},
            "an address in a network: give 10.244.0.0/24",
        ),
        ([node("a", "10.243.0.0/24")], {}, "not in cluster_pod_network 10.244.0.0/16"),
        ([node("a", "10.244.0.0/31")], {}, "it has no room for pods"),
        (
            [node("a", "10.244.0.0/23"), node("b", "10.244.1.0/24")],
            {},
            "node_pod_cidr of a is 10.244.0.0/23 and overlaps node_pod_cidr of b",
        ),
        (
            [node("a", "10.244.0.0/24", "10.244.3.4")],
            {},
            "node_address of a is 10.244.3.4, which lies in cluster_pod_network",
        ),
        (
            [node("a", "10.244.0.0/24", "10.96.3.4")],
            {},
            "which lies in cluster_service_network 10.96.0.0/16",
        ),
        (TWO, {"service_network": "10.0.0.0/8"}, "overlaps cluster_service_network"),
        (TWO, {"service_network": "10.96.0.0/129"}, "cluster_service_network is"),
        (TWO, {"dns_address": "10.97.0.10"}, "10.97.0.10 is not in cluster_service"),
        (TWO, {"dns_address": "10.96.0.1"}, "is the API server's: give another"),
        (TWO, {"dns_address": "dns"}, "cluster_dns_address is 'dns'"),
    ],
)
def test_networks_that_cannot_be_are_reported(
    nodes: list[dict[str, Any]], cluster: dict[str, Any], said: str
) -> None:
    found = networks.network_problems(nodes, {**CLUSTER, **cluster})
    assert any(said in problem for problem in found), found


ODD: dict[str, Any] = {
    "kubelet_system_reserved": {"cpu": 1, "memory": "256Mi", "pid": 1000},
    "kubelet_eviction_hard": {"memory.available": 104857600},
    "kubelet_taints": [{"key": "gpu", "value": True, "effect": "NoSchedule"}],
    "kubelet_labels": {"spot": True, "rack": 7},
    "kubelet_shutdown_grace_period": 0,
    "cluster_name": 2026,
    "cluster_domain": "cluster.local",
    "cluster_dns_address": "10.96.0.10",
    "cluster_bin_dir": "/opt/slipway/bin",
    "cluster_api_address": "192.0.2.1",
    "cluster_api_port": 6443,
    "cluster_protect_from_oom": True,
    "cluster_pod_network": "10.244.0.0/16",
    "cluster_service_network": "10.96.0.0/16",
    "node_address": "192.0.2.1",
    "pki_kubernetes_version": "v1.36.3",
    "item": {
        "name": "kube-scheduler",
        "type": "exec",
        "after": "",
        "description": "",
        "options": {"profiling": False, "v": 2},
    },
}
TEMPLATES = {
    "kubelet.yaml": "kubelet/templates/kubelet.yaml.j2",
    "kubelet.service": "kubelet/templates/kubelet.service.j2",
    "bootstrap.conf": "kubelet/templates/bootstrap-kubelet.conf.j2",
    "kube-proxy.yaml": "kube_proxy/templates/kube-proxy.yaml.j2",
    "kubeadm.yaml": "pki/templates/kubeadm.yaml.j2",
    "scheduler.service": "control_plane/templates/service.j2",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the roles write for a host whose name is a number."""
    folder = tmp_path_factory.mktemp("written")
    play = [
        {
            "hosts": "all",
            "connection": "local",
            "gather_facts": False,
            "vars_files": [
                str(ROLES / role / "defaults" / "main.yml")
                for role in ("kubelet", "kube_proxy", "pki")
            ],
            "tasks": [
                {
                    "ansible.builtin.template": {
                        "src": str(ROLES / source),
                        "dest": str(folder / name),
                    }
                }
                for name, source in TEMPLATES.items()
            ],
        }
    ]
    (folder / "play.json").write_text(json.dumps(play))
    (folder / "odd.json").write_text(json.dumps(ODD))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ANSIBLE_FILTER_PLUGINS": str(PLUGINS),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible-playbook"), "-i", "1001,"),
            *("-e", f"@{folder / 'odd.json'}", folder / "play.json"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_what_kubernetes_reads_is_text_where_it_wants_text(written: Path) -> None:
    kubelet = yaml.safe_load((written / "kubelet.yaml").read_text())
    assert kubelet["systemReserved"] == {"cpu": "1", "memory": "256Mi", "pid": "1000"}
    assert kubelet["evictionHard"] == {"memory.available": "104857600"}
    assert kubelet["registerWithTaints"] == [
        {"key": "gpu", "value": "true", "effect": "NoSchedule"}
    ]
    assert kubelet["shutdownGracePeriod"] == "0"
    assert (
        "--node-labels=spot=true,rack=7 " in (written / "kubelet.service").read_text()
    )
    config = yaml.safe_load((written / "bootstrap.conf").read_text())
    assert config["clusters"][0]["name"] == "2026"
    assert config["contexts"][0]["context"]["cluster"] == "2026"
    proxy = yaml.safe_load((written / "kube-proxy.yaml").read_text())
    assert proxy["hostnameOverride"] == "1001"
    init, cluster = yaml.safe_load_all((written / "kubeadm.yaml").read_text())
    assert init["nodeRegistration"]["name"] == "1001"
    assert cluster["clusterName"] == "2026"
    assert "--profiling=false" in (written / "scheduler.service").read_text()
