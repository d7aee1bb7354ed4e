"""An HDFS as a component: its servers, who reaches them, and jobs that use it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hdfs_entry import commands

from components import naming
from components.training import hdfs, hdfs_files
from components.training.hdfs_settings import DataNode, HdfsArgs, HdfsServer
from slipway.rendering.render import Rendered, render
from tests.support import pod_security
from tests.support.rendered import IMAGES, reference

NAMES, NODES = "hdfs-namenode", "hdfs-datanode"
JOB = {"image": "spark", "main": "/app/words.py", "hdfs": True}


def stack(jobs: dict[str, Any] | None = None, **args: Any) -> Rendered:
    config = {"cluster": {"kubeconfig": "lab"}, "hdfs": args, "spark": jobs or {}}
    return render("jobs.test", config=config, images=IMAGES)


def named(made: Rendered, kind: str, name: str) -> Any:
    (found,) = [
        it
        for it in made.manifests
        if (it["kind"], it["metadata"]["name"]) == (kind, name)
    ]
    return found


def pod(name: str, **args: Any) -> Any:
    return named(stack(**args), "StatefulSet", name)["spec"]["template"]["spec"]


def variables(name: str, **args: Any) -> dict[str, str]:
    (container,) = pod(name, **args)["containers"]
    return {it["name"]: it.get("value", "") for it in container["env"]}


def properties(made: Rendered, file: str) -> dict[str, str]:
    text = named(made, "ConfigMap", NODES)["data"][file]
    root = hdfs_files.ET.fromstring(text)
    return {it.findtext("name", ""): it.findtext("value", "") for it in root}


@pytest.mark.parametrize("name", [NAMES, NODES])
@pytest.mark.parametrize("temporary", [False, True])
def test_servers_are_restricted(name: str, temporary: bool) -> None:
    found = pod(name, temporary=temporary)
    assert pod_security.violations(found) == []
    assert found["automountServiceAccountToken"] is False
    (container,) = found["containers"]
    assert {it["mountPath"] for it in container["volumeMounts"]} == {
        "/tmp",
        commands.FOLDER,
        commands.CONF,
    }


def test_each_server_keeps_a_volume_of_its_own() -> None:
    made = stack(data_nodes=2, data_node={"size_gib": 20}, storage_class="local")
    for name, replicas, size in ((NAMES, 1, "10Gi"), (NODES, 2, "20Gi")):
        spec = named(made, "StatefulSet", name)["spec"]
        assert (spec["replicas"], spec["serviceName"]) == (replicas, name)
        (claim,) = spec["volumeClaimTemplates"]
        assert claim["spec"]["resources"]["requests"]["storage"] == size
        assert claim["spec"]["storageClassName"] == "local"
        # The default; a deletion of the set keeps the data.
        assert "persistentVolumeClaimRetentionPolicy" not in spec


def test_temporary_data_are_folders_with_a_size() -> None:
    made = stack(temporary=True, data_nodes=1, data_node={"size_gib": 2})
    spec = named(made, "StatefulSet", NODES)["spec"]
    assert "volumeClaimTemplates" not in spec
    volumes = {it["name"]: it for it in spec["template"]["spec"]["volumes"]}
    assert volumes["data"] == {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}}


def test_only_a_temporary_namenode_is_replaced_by_an_empty_one_unnoticed() -> None:
    assert "HDFS_CLUSTER_ID" not in variables(NAMES)
    temporary = variables(NAMES, temporary=True)
    assert temporary["HDFS_CLUSTER_ID"] == "CID-models-hdfs"


def test_blocks_stay_within_the_volume_and_java_within_the_pod() -> None:
    node = {"size_gib": 100, "memory_mib": 2048}
    found = variables(NODES, data_node=node)
    assert found == {"HDFS_HEAP_MIB": "1536", "HDFS_CAPACITY_MIB": "97280"}
    assert HdfsServer(memory_mib=384).heap_mib == 192
    assert DataNode(size_gib=1).capacity_mib == 972


@pytest.mark.parametrize(
    ("args", "copies"),
    [({}, "3"), ({"data_nodes": 2}, "2"), ({"data_nodes": 9, "replication": 2}, "2")],
)
def test_a_block_has_three_copies_or_as_many_as_there_are(
    args: dict[str, Any], copies: str
) -> None:
    assert properties(stack(**args), "hdfs-site.xml")["dfs.replication"] == copies


def test_the_files_name_the_namenode_and_the_ports_that_are_open() -> None:
    made = stack(name="logs")
    core = hdfs_files.files("models", HdfsArgs(name="logs", image=reference("spark")))
    address = "hdfs://logs-namenode.models.svc:8020"
    assert address in core[hdfs_files.CORE]
    assert named(made, "ConfigMap", "logs-namenode")["data"] == core
    assert commands.RPC_PORT == hdfs_files.RPC_PORT
    site = hdfs_files.site(HdfsArgs(image=reference("spark")))
    for key, port in (
        ("dfs.namenode.http-address", hdfs.NameNode.pages_port),
        ("dfs.datanode.address", hdfs.DataNodes.ports[0]),
        ("dfs.datanode.ipc.address", hdfs.DataNodes.ports[1]),
        ("dfs.datanode.http.address", hdfs.DataNodes.pages_port),
    ):
        assert site[key] == f"0.0.0.0:{port}"


def peers(rules: list[Any], way: str) -> dict[str, set[int]]:
    """Open ports by the peer's name or label."""
    found: dict[str, set[int]] = {}
    for rule in rules:
        for peer in rule[way]:
            chosen = peer.get("podSelector") or peer["namespaceSelector"]
            labels = chosen["matchLabels"]
            who = labels.get("app.kubernetes.io/instance", str(labels))
            found.setdefault(who, set()).update(it["port"] for it in rule["ports"])
    return found


def test_only_servers_clients_and_prometheus_reach_them() -> None:
    made = stack()
    client = str({naming.HDFS_LABEL: "hdfs"})
    prometheus = str({"kubernetes.io/metadata.name": naming.MONITORING_NAMESPACE})
    names, nodes = (
        named(made, "NetworkPolicy", name)["spec"] for name in (NAMES, NODES)
    )
    assert peers(names["ingress"], "from") == {
        NODES: {8020},
        client: {8020},
        prometheus: {9870},
    }
    assert peers(nodes["ingress"], "from") == {
        NODES: {9866, 9867},
        client: {9866, 9867},
        prometheus: {9864},
    }
    dns = str({"kubernetes.io/metadata.name": "kube-system"})
    assert set(peers(names["egress"], "to")) == {dns}
    assert peers(nodes["egress"], "to").items() >= {
        (NAMES, frozenset({8020})),
        (NODES, frozenset({9866, 9867})),
    }


def test_metrics_are_scraped() -> None:
    made = stack()
    for name, port in ((NAMES, "9870"), (NODES, "9864")):
        template = named(made, "StatefulSet", name)["spec"]["template"]
        found = template["metadata"]["annotations"]
        assert found["prometheus.io/port"] == port
        assert found["prometheus.io/path"] == "/prom"
    core = properties(made, "core-site.xml")
    assert core["hadoop.prometheus.endpoint.enabled"] == "true"


def test_another_setting_of_hadoop_starts_the_servers_anew() -> None:
    def digest(**args: Any) -> str:
        template = named(stack(**args), "StatefulSet", NAMES)["spec"]["template"]
        return str(template["metadata"]["annotations"]["slipway.dev/config"])

    assert digest() == digest(data_node={"memory_mib": 2048})
    assert digest() != digest(block_mib=64)


def test_a_spark_job_gets_the_address_the_way_and_the_number_of_copies() -> None:
    made = stack({"words": JOB}, data_nodes=2)
    data = named(made, "ConfigMap", "words")["data"]
    assert "spark.hadoop.dfs.replication=2\n" in data["spark.properties"]
    assert "fs.defaultFS" not in data["spark.properties"]
    executor = json.loads(data["executor.json"])
    driver = named(made, "CronJob", "words")["spec"]["jobTemplate"]["spec"]["template"]
    address = {"name": "SLIPWAY_HDFS", "value": "hdfs://hdfs-namenode.models.svc:8020"}
    for one in (driver, executor):
        assert one["metadata"]["labels"][naming.HDFS_LABEL] == "hdfs"
        assert address in one["spec"]["containers"][0]["env"]
    for name in ("words", "words-executor"):
        egress = named(made, "NetworkPolicy", name)["spec"]["egress"]
        found = peers([it for it in egress if "to" in it], "to")
        assert found[NAMES] == {8020}
        assert found[NODES] == {9866, 9867}


def test_other_jobs_of_the_stack_are_as_without_it() -> None:
    made = stack({"words": {**JOB, "hdfs": False}})
    text = yaml.safe_dump([it for it in made.manifests if "words" in str(it)])
    assert "hdfs" not in text


def test_a_stack_may_have_a_file_system_alone() -> None:
    kinds = {it["kind"] for it in stack().manifests}
    assert "StatefulSet" in kinds
    assert "CronJob" not in kinds
