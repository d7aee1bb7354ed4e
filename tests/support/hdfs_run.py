"""A NameNode and a DataNode as processes of the HDFS image's entry point."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.training import hdfs_files
from components.training.hdfs_settings import HdfsArgs
from slipway.images import ImageError
from slipway.images.table import images
from toolchain import paths

WANTED = "HDFS"
"""Variable of the environment that has 106 MB of jars fetched."""
ENTRY = paths.ROOT / "images" / "hdfs"
HEAP_MIB = 192
STOP_SECONDS = 20.0


def reason_to_skip() -> str:
    """Why HDFS cannot run here; empty if it can."""
    if WANTED not in os.environ:
        return f"{WANTED}=1 fetches 106 MB of jars and runs them"
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return "no Java (17 or later)"
    try:
        images()["hdfs"].inputs["jars"].make()
    except ImageError as error:
        return str(error)
    return ""


def java_home() -> str:
    if home := os.environ.get("JAVA_HOME"):
        return home
    found = shutil.which("java")
    assert found
    return str(Path(found).resolve().parents[1])


@dataclass(frozen=True)
class Hdfs:
    """A file system whose servers can be started and ended, one after the other."""

    root: Path
    args: HdfsArgs
    port: int
    web: int

    @property
    def address(self) -> str:
        return f"hdfs://127.0.0.1:{self.port}"

    @contextmanager
    def server(self, what: str) -> Iterator[subprocess.Popen[bytes]]:
        """Runs `namenode` or `datanode`; its log is `<what>.log` in the root."""
        (self.root / what).mkdir(exist_ok=True)
        variables = {
            "PATH": os.environ["PATH"],
            "JAVA_HOME": java_home(),
            "PYTHONPATH": str(ENTRY),
            "HDFS_HEAP_MIB": str(HEAP_MIB),
            "HDFS_CLASSES": f"{ENTRY}:{images()['hdfs'].inputs['jars'].make()}/*",
            "HDFS_CONF": str(self.root),
            "HDFS_FOLDER": str(self.root / what),
            "HDFS_CAPACITY_MIB": str(self.args.data_node.capacity_mib),
        }
        with (self.root / f"{what}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "hdfs_entry", what],
                env=variables,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def made(root: Path, args: HdfsArgs) -> Hdfs:
    """A file system in a folder, with a cluster's settings, on ports of loopback."""
    port, web, data, ipc, data_web = _free_ports(5)
    own = {
        "dfs.namenode.http-address": f"127.0.0.1:{web}",
        "dfs.datanode.address": f"127.0.0.1:{data}",
        "dfs.datanode.ipc.address": f"127.0.0.1:{ipc}",
        "dfs.datanode.http.address": f"127.0.0.1:{data_web}",
    }
    core = hdfs_files.files("models", args)[hdfs_files.CORE]
    (root / hdfs_files.CORE).write_text(
        core.replace(hdfs_files.address("models", args), f"hdfs://127.0.0.1:{port}")
    )
    site = hdfs_files.text({**hdfs_files.site(args), **own})
    (root / hdfs_files.SITE).write_text(site)
    return Hdfs(root, args, port, web)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found
