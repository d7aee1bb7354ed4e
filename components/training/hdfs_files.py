"""The files with HDFS's settings, and what clients set to use it."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from components.training.hdfs_settings import HdfsArgs

FOLDER = "/etc/slipway-hdfs"
CORE, SITE = "core-site.xml", "hdfs-site.xml"
RPC_PORT, NAMES_PAGES_PORT = 8020, 9870
"""The NameNode's: for clients and DataNodes; its web UI, status and metrics."""
DATA_PORT, IPC_PORT, DATA_PAGES_PORT = 9866, 9867, 9864
"""A DataNode's: for blocks; for questions about them; status and metrics."""
METRICS_PATH = "/prom"
SPARE_MIB = 64
"""Left of a DataNode's capacity. Hadoop's own default is 1 GiB beside the block, so
that volumes of the lab would never take one."""
MIB = 2**20


def address(namespace: str, args: HdfsArgs) -> str:
    """Address of the file system, within the cluster."""
    return f"hdfs://{args.name_node_name}.{namespace}.svc:{RPC_PORT}"


def files(namespace: str, args: HdfsArgs) -> dict[str, str]:
    """The files of settings, which all servers have in common.

    https://hadoop.apache.org/docs/current/hadoop-project-dist/hadoop-hdfs/hdfs-default.xml
    """
    core = {
        "fs.defaultFS": address(namespace, args),
        "hadoop.prometheus.endpoint.enabled": "true",
    }
    return {CORE: text(core), SITE: text(site(args))}


def site(args: HdfsArgs) -> dict[str, str]:
    """The properties of hdfs-site.xml."""
    volumes = "dfs.datanode.round-robin-volume-choosing-policy"
    return {
        "dfs.blocksize": str(args.block_mib * MIB),
        "dfs.datanode.address": f"0.0.0.0:{DATA_PORT}",
        "dfs.datanode.http.address": f"0.0.0.0:{DATA_PAGES_PORT}",
        "dfs.datanode.ipc.address": f"0.0.0.0:{IPC_PORT}",
        f"{volumes}.additional-available-space": str(SPARE_MIB * MIB),
        # Pods' addresses have no names in the DNS while they start.
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.namenode.http-address": f"0.0.0.0:{NAMES_PAGES_PORT}",
        # Clients say who they are and nobody proves it, so owners protect nothing.
        "dfs.permissions.enabled": "false",
        "dfs.replication": str(args.copies),
    }


def text(properties: Mapping[str, str]) -> str:
    """The properties as a file of Hadoop's."""
    root = ET.Element("configuration")
    for name, value in sorted(properties.items()):
        entry = ET.SubElement(root, "property")
        ET.SubElement(entry, "name").text = name
        ET.SubElement(entry, "value").text = value
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def of_spark(args: HdfsArgs) -> dict[str, str]:
    """Properties of a Spark job: each client decides on replication and size itself.

    Not the default file system: the job's volumes are paths without a scheme.
    """
    return {
        "spark.hadoop.dfs.blocksize": str(args.block_mib * MIB),
        "spark.hadoop.dfs.replication": str(args.copies),
    }
