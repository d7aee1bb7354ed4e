"""Settings of an HDFS in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.cluster.nodes.taint import LabelKey, NodeValue, Taint
from components.images import ImageReference
from components.setting_types import DnsSubdomain, ModelName, Whole
from components.settings import Problem, Settings

USUAL_REPLICATION = 3
LEAST_JAVA_MIB = 192
"""Java's own memory besides its heap: NameNode and DataNode had up to 50 MiB more than
a heap of 192 MiB, and it grows with threads and buffers (2026-12-01, Hadoop 3.5.0)."""
CAPACITY_PERCENT = 95
"""Share of a DataNode's volume for blocks; the rest is for names and file systems."""


class HdfsServer(Settings):
    """CPU, memory and disk of the NameNode, or of each DataNode."""

    cpu_request_millicores: Annotated[Whole, Field(ge=10, le=64_000)] = 100
    """CPU request, in thousandths of a core."""
    cpu_limit_millicores: Annotated[Whole, Field(ge=100, le=64_000)] = 2000
    """CPU limit, in thousandths of a core."""
    memory_mib: Annotated[Whole, Field(ge=384, le=1_048_576)] = 1024
    """Memory request and limit, in MiB; Java's heap is what is left after a quarter, at
    least 192 MiB. The NameNode needs about 1 GiB of heap for a million blocks."""
    size_gib: Annotated[Whole, Field(ge=1, le=65_536)] = 10
    """Size of its volume, in GiB."""

    @property
    def heap_mib(self) -> int:
        """Java's heap, in MiB."""
        return self.memory_mib - max(LEAST_JAVA_MIB, self.memory_mib // 4)

    @property
    def capacity_mib(self) -> int:
        """What blocks may take of the volume, in MiB."""
        return self.size_gib * 1024 * CAPACITY_PERCENT // 100

    def contradictions(self) -> Iterator[Problem]:
        """Report a request over its limit."""
        if self.cpu_request_millicores > self.cpu_limit_millicores:
            yield Problem(
                "cpu_request_millicores",
                self.cpu_request_millicores,
                "it is more than cpu_limit_millicores, which is "
                f"{self.cpu_limit_millicores}",
                f"give at most {self.cpu_limit_millicores}, or raise "
                "cpu_limit_millicores",
            )


class DataNode(HdfsServer):
    """CPU, memory and disk of each DataNode."""

    size_gib: Annotated[Whole, Field(ge=1, le=65_536)] = 100
    """Size of its volume, in GiB; blocks take at most 95 % of it."""


class HdfsArgs(Settings):
    """One NameNode and several DataNodes, for the lab and on premises."""

    name: ModelName = "hdfs"
    """Name of the file system, from which its objects have theirs."""
    image: ImageReference = Field(default="hdfs", validate_default=True)
    """Image of all servers. A short name of images.lock, or by digest."""
    data_nodes: Annotated[Whole, Field(ge=1, le=200)] = 3
    """Number of DataNodes."""
    replication: Annotated[Whole | None, Field(ge=1, le=200)] = None
    """On how many DataNodes each block is; default: 3, or as many as there are."""
    block_mib: Annotated[Whole, Field(ge=1, le=1024)] = 128
    """Size of a block, in MiB."""
    name_node: HdfsServer = HdfsServer()
    """The NameNode, which has the names of all files."""
    data_node: DataNode = DataNode()
    """Each DataNode."""
    storage_class: DnsSubdomain | None = None
    """StorageClass of the volumes; default: the cluster's default class."""
    temporary: bool = False
    """Data end with the pods: folders of their nodes in place of volumes."""
    node_selector: dict[LabelKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels that a node of the servers must have."""
    tolerations: tuple[Taint, ...] = ()
    """Taints that the servers tolerate."""

    @property
    def copies(self) -> int:
        """The number of DataNodes with a block."""
        return self.replication or min(USUAL_REPLICATION, self.data_nodes)

    @property
    def name_node_name(self) -> str:
        """Name of the NameNode's objects."""
        return f"{self.name}-namenode"

    @property
    def data_node_name(self) -> str:
        """Name of the DataNodes' objects."""
        return f"{self.name}-datanode"

    def contradictions(self) -> Iterator[Problem]:
        """Report copies that have no place, blocks that fit nowhere, classes unused."""
        if self.copies > self.data_nodes:
            yield Problem(
                "replication",
                self.replication,
                f"a DataNode has one copy of a block, and data_nodes is "
                f"{self.data_nodes}: every block would stay incomplete",
                f"give at most {self.data_nodes}, or raise data_nodes",
            )
        if self.block_mib > self.data_node.capacity_mib // 2:
            yield Problem(
                "block_mib",
                self.block_mib,
                f"of data_node.size_gib = {self.data_node.size_gib} blocks get "
                f"{self.data_node.capacity_mib} MiB, which is less than two of them",
                "lower it, or raise data_node.size_gib",
            )
        if self.temporary and self.storage_class:
            yield Problem(
                "storage_class",
                self.storage_class,
                "temporary: true makes no volumes",
                "remove one of the two",
            )
