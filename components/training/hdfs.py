"""HDFS in the cluster: one NameNode and several DataNodes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pulumi

from components import naming
from components.security import network, pod_defaults
from components.security.network import Rule
from components.training import hdfs_files
from components.training.hdfs_settings import HdfsArgs, HdfsServer
from components.workload import Workload, http_probe

DATA, DATA_PATH = "data", "/hdfs"
CONFIG, TMP = "config", "tmp"
STOP_SECONDS = 60
START_SECONDS, START_PERIOD = 900, 5
"""How long a NameNode may read its names, and a DataNode its blocks."""
TMP_MIB = 128
"""Java unpacks the web pages there."""


class Hdfs(pulumi.ComponentResource):
    """A file system: `<name>-namenode` and `<name>-datanode`."""

    def __init__(
        self,
        name: str,
        args: HdfsArgs,
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:training:Hdfs", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        NameNode(args.name_node_name, args, namespace=namespace, opts=inside)
        DataNodes(args.data_node_name, args, namespace=namespace, opts=inside)
        self.register_outputs({})


class Servers(Workload):
    """The servers of one role.

    Creates, in the jobs' namespace, all of one name:

    - ServiceAccount without rights
    - ConfigMap with Hadoop's settings
    - NetworkPolicy: servers reach each other and the DNS; pods with the label
      `slipway.dev/hdfs: <name>` reach them, Prometheus their metrics, nobody else
    - headless Service, by which pods are found before they are ready
    - StatefulSet, with a claim for each pod unless `temporary`

    Claims stay when the StatefulSet goes.
    """

    role = ""
    pages_port = 0
    pages_bean = ""
    """What the web server says of itself, for the liveness probe."""
    ports: tuple[int, ...] = ()
    """What other pods connect to; the first one is probed."""

    def __init__(
        self,
        name: str,
        args: HdfsArgs,
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            f"slipway:training:Hdfs{type(self).__name__}",
            name,
            namespace=namespace,
            component="hdfs",
            program=_program(self.role),
            opts=opts,
        )
        self._args = args
        self.add_account()
        files = hdfs_files.files(namespace, args)
        self.add_config(files)
        self.add_network_policy(self._ingress(), self._egress())
        self.add_headless_service(self.ports, naming.SERVICE_WAIT)
        self.add_disruption_budget(self._replicas)
        self._set(hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16])
        self.register_outputs({})

    @property
    def _replicas(self) -> int:
        return 1

    @property
    def _server(self) -> HdfsServer:
        raise NotImplementedError

    @property
    def _clients(self) -> Rule:
        labels = {naming.HDFS_LABEL: self._args.name}
        return {"podSelector": {"matchLabels": labels}}

    def _ingress(self) -> list[Rule]:
        nodes = _pods(DataNodes.role, self._args.data_node_name)
        monitoring = network.in_namespace(naming.MONITORING_NAMESPACE)
        return [
            network.allow_from(nodes, self._clients, to=self.ports),
            network.allow_from(monitoring, to=(self.pages_port,)),
        ]

    def _egress(self) -> list[Rule]:
        return [network.allow_dns()]

    def _set(self, digest: str) -> None:
        claims = [] if self._args.temporary else [self._claim()]
        annotations = {
            "slipway.dev/config": digest,
            **naming.scrape_annotations(self.pages_port, hdfs_files.METRICS_PATH),
        }
        template = {"metadata": self.pod_metadata(**annotations), "spec": self._pod()}
        self.add_stateful_set(
            template,
            claims,
            replicas=self._replicas,
            # With the default, a pod that never gets ready is not replaced by a
            # corrected one until somebody deletes it.
            podManagementPolicy="Parallel",
        )

    def _claim(self) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{self._server.size_gib}Gi"}},
        }
        if self._args.storage_class:
            spec["storageClassName"] = self._args.storage_class
        return {"metadata": {"name": DATA, "labels": self.labels}, "spec": spec}

    def _pod(self) -> Any:
        args = self._args
        volumes: list[dict[str, Any]] = [
            {"name": CONFIG, "configMap": {"name": self.name}},
            _folder(TMP, TMP_MIB),
        ]
        if args.temporary:
            volumes.append(_folder(DATA, self._server.size_gib * 1024))
        return pod_defaults.pod(
            [self._container()],
            service_account=self.name,
            terminationGracePeriodSeconds=STOP_SECONDS,
            topologySpreadConstraints=self.spread() if self._replicas > 1 else None,
            volumes=volumes,
            nodeSelector=dict(args.node_selector) or None,
            tolerations=[taint.toleration for taint in args.tolerations] or None,
        )

    def _container(self) -> Any:
        server = self._server
        port, pages = self.ports[0], f"/jmx?qry={self.pages_bean}"
        return pod_defaults.container(
            self.role,
            self._args.image,
            args=[self.role],
            env=[*self._variables()],
            ports=[
                {"name": f"tcp-{number}", "containerPort": number, "protocol": "TCP"}
                for number in (*self.ports, self.pages_port)
            ],
            resources=pod_defaults.resources(
                cpu_request_millicores=server.cpu_request_millicores,
                cpu_limit_millicores=server.cpu_limit_millicores,
                memory_request_mib=server.memory_mib,
                memory_limit_mib=server.memory_mib,
            ),
            startupProbe=_open(
                port, seconds=START_PERIOD, failures=START_SECONDS // START_PERIOD
            ),
            readinessProbe=_open(port, seconds=10, failures=3),
            livenessProbe=http_probe(pages, self.pages_port, seconds=20, failures=6),
            volumeMounts=[
                {"name": CONFIG, "mountPath": hdfs_files.FOLDER, "readOnly": True},
                {"name": DATA, "mountPath": DATA_PATH},
                {"name": TMP, "mountPath": "/tmp"},  # noqa: S108, the pod's own
            ],
            terminationMessagePolicy="FallbackToLogsOnError",
        )

    def _variables(self) -> list[dict[str, Any]]:
        return [{"name": "HDFS_HEAP_MIB", "value": str(self._server.heap_mib)}]


class NameNode(Servers):
    """The NameNode, which knows the names and where the blocks are."""

    role = "namenode"
    pages_port = hdfs_files.NAMES_PAGES_PORT
    pages_bean = "Hadoop:service=NameNode,name=NameNodeStatus"
    ports = (hdfs_files.RPC_PORT,)

    @property
    def _server(self) -> HdfsServer:
        return self._args.name_node

    def _variables(self) -> list[dict[str, Any]]:
        source = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}
        found = [*super()._variables(), {"name": "HDFS_POD_IP", "valueFrom": source}]
        if self._args.temporary:
            # DataNodes that are still there accept the next one.
            cluster = f"CID-{self.namespace}-{self._args.name}"
            found.append({"name": "HDFS_CLUSTER_ID", "value": cluster})
        return found


class DataNodes(Servers):
    """The DataNodes, which have the blocks."""

    role = "datanode"
    pages_port = hdfs_files.DATA_PAGES_PORT
    pages_bean = "Hadoop:service=DataNode,name=DataNodeInfo"
    ports = (hdfs_files.DATA_PORT, hdfs_files.IPC_PORT)

    @property
    def _replicas(self) -> int:
        return self._args.data_nodes

    @property
    def _server(self) -> HdfsServer:
        return self._args.data_node

    def _egress(self) -> list[Rule]:
        names = _pods(NameNode.role, self._args.name_node_name)
        nodes = _pods(self.role, self.name)
        return [
            *super()._egress(),
            network.allow_to(names, on=NameNode.ports),
            network.allow_to(nodes, on=self.ports),
        ]

    def _variables(self) -> list[dict[str, Any]]:
        capacity = str(self._server.capacity_mib)
        return [*super()._variables(), {"name": "HDFS_CAPACITY_MIB", "value": capacity}]


def of_clients(args: HdfsArgs) -> list[Rule]:
    """Egress rules of pods that read and write."""
    return [
        network.allow_to(_pods(NameNode.role, args.name_node_name), on=NameNode.ports),
        network.allow_to(
            _pods(DataNodes.role, args.data_node_name), on=DataNodes.ports
        ),
    ]


def _pods(role: str, name: str) -> Rule:
    """A peer: the pods of a role."""
    labels = naming.selector(_program(role), instance=name)
    return {"podSelector": {"matchLabels": labels}}


def _program(role: str) -> str:
    return f"{naming.HDFS}-{role}"


def _folder(name: str, mib: int) -> dict[str, Any]:
    size = pod_defaults.memory_quantity(mib)
    return {"name": name, "emptyDir": {"sizeLimit": size}}


def _open(port: int, *, seconds: int, failures: int) -> dict[str, Any]:
    """A probe that connects."""
    return {
        "tcpSocket": {"port": port},
        "periodSeconds": seconds,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }
