"""The commands of HDFS's processes, from arguments and environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

JAVA_HOME = "/usr/lib/jvm/default"
CLASSES = "/app:/app/jars/*"
"""Where Java finds log4j.properties, and Hadoop's jars."""
CONF = "/etc/slipway-hdfs"
"""core-site.xml and hdfs-site.xml."""
FOLDER = "/hdfs"
"""Folder of the data; a file system of its own may have other folders beside them."""
RPC_PORT = 8020
NAMES, BLOCKS = "names", "blocks"
TOOL_HEAP_MIB = 64
MIB = 2**20
_HDFS = "org.apache.hadoop.hdfs"
SERVERS = {
    "namenode": f"{_HDFS}.server.namenode.NameNode",
    "datanode": f"{_HDFS}.server.datanode.DataNode",
}
TOOLS = {
    "dfs": "org.apache.hadoop.fs.FsShell",
    "dfsadmin": f"{_HDFS}.tools.DFSAdmin",
    "fsck": f"{_HDFS}.tools.DFSck",
}
Environment = Mapping[str, str]


class UsageError(Exception):
    """A process cannot be started: what is missing, and where it comes from."""


def of(
    arguments: Sequence[str], environment: Environment, disk_bytes: int
) -> list[str]:
    """Return a program's path and its arguments. Raises UsageError.

    `disk_bytes`: of the file system with the folder, all that this user may have.
    """
    what = arguments[0] if arguments else ""
    rest = list(arguments[1:])
    if what == "namenode":
        return _server(
            what, environment, _of_namenode(environment, folder(environment)), rest
        )
    if what == "datanode":
        return _server(what, environment, _of_datanode(environment, disk_bytes), rest)
    if what in TOOLS:
        # In a server's own container, beside the server.
        small = {**environment, "HDFS_HEAP_MIB": str(TOOL_HEAP_MIB)}
        return [*_java(small, "WARN"), TOOLS[what], *rest]
    raise UsageError(f"{what!r} is not one of {', '.join([*SERVERS, *TOOLS])}")


def formatting(environment: Environment, target: str) -> list[str]:
    """Return the command that makes an empty file system's names in a folder.

    With HDFS_CLUSTER_ID, a NameNode whose names were lost with its pod is one that the
    same DataNodes accept. Without it they refuse another NameNode than their first.
    """
    words = ["-format", "-nonInteractive", "-force"]
    if cluster := environment.get("HDFS_CLUSTER_ID"):
        words += ["-clusterid", cluster]
    return _server("namenode", environment, _of_namenode(environment, target), words)


def folder(environment: Environment) -> str:
    """Return the folder of the names, which is there once they are whole."""
    return f"{environment.get('HDFS_FOLDER', FOLDER)}/{NAMES}"


def _of_namenode(environment: Environment, target: str) -> dict[str, str]:
    """Properties of this NameNode alone.

    It would look for its own address in the DNS, which may not have it yet.
    """
    found = {
        "dfs.namenode.name.dir": f"file://{target}",
        "dfs.namenode.rpc-bind-host": "0.0.0.0",  # noqa: S104, in a pod
    }
    if own := environment.get("HDFS_POD_IP"):
        found["dfs.namenode.rpc-address"] = f"{own}:{RPC_PORT}"
    return found


def _of_datanode(environment: Environment, disk_bytes: int) -> dict[str, str]:
    """Properties of this DataNode alone.

    HDFS takes a whole file system for its own, but for what is reserved. Volumes
    that are folders of a node's disk do not end where their claims say. HDFS computes
    what is left from what its user may have, so root's part must not be reserved again.
    """
    found = {
        "dfs.datanode.data.dir": f"file://{environment.get('HDFS_FOLDER', FOLDER)}/"
        f"{BLOCKS}"
    }
    if capacity := environment.get("HDFS_CAPACITY_MIB"):
        reserved = max(0, disk_bytes - int(capacity) * MIB)
        found["dfs.datanode.du.reserved"] = str(reserved)
    return found


def _server(
    what: str,
    environment: Environment,
    properties: Mapping[str, str],
    more: Sequence[str],
) -> list[str]:
    words = [*_java(environment, "INFO"), SERVERS[what]]
    for name, value in properties.items():
        words += ["-D", f"{name}={value}"]
    return [*words, *more]


def _java(environment: Environment, level: str) -> list[str]:
    """Java with the classes; `level`: from which on log lines are written."""
    words = [f"{environment.get('JAVA_HOME', JAVA_HOME)}/bin/java"]
    if heap := environment.get("HDFS_HEAP_MIB"):
        words += [f"-Xmx{heap}m", "-XX:+ExitOnOutOfMemoryError"]
    classes = environment.get("HDFS_CLASSES", CLASSES)
    conf = environment.get("HDFS_CONF", CONF)
    return [*words, f"-Dhdfs.level={level}", "-cp", f"{conf}:{classes}"]
