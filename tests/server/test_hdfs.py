"""HDFS by the image's own entry point: a file outlives its servers' restart."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from components.training.hdfs_settings import DataNode, HdfsArgs
from tests.support import hdfs_client, hdfs_run
from tests.support.hdfs_run import Hdfs
from tests.support.rendered import reference

pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        bool(hdfs_run.reason_to_skip()), reason=hdfs_run.reason_to_skip()
    ),
]
SECONDS = 300.0
"""Of a start; on two calm cores it should take 25 s."""
CONTENT = bytes(range(256)) * 128


def namenode(hdfs: Hdfs, bean: str) -> dict[str, object]:
    query = f"Hadoop:service=NameNode,name={bean}"
    with urlopen(f"http://127.0.0.1:{hdfs.web}/jmx?qry={query}", timeout=5) as answer:
        (found,) = json.load(answer)["beans"] or [{}]
    return dict(found)


def wait_until_live(hdfs: Hdfs) -> None:
    """Until a DataNode has registered and the NameNode takes writes."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            live = namenode(hdfs, "FSNamesystemState").get("NumLiveDataNodes")
            if live == 1 and not namenode(hdfs, "NameNodeInfo").get("Safemode"):
                return
        except OSError:
            pass
        log = (hdfs.root / "namenode.log").read_text()[-2000:]
        assert time.monotonic() < end, log
        time.sleep(1)


def test_a_file_is_read_back_after_both_servers_have_begun_anew(tmp_path: Path) -> None:
    args = HdfsArgs(
        image=reference("hdfs"), data_nodes=1, data_node=DataNode(size_gib=1)
    )
    hdfs = hdfs_run.made(tmp_path, args)
    with hdfs.server("namenode"), hdfs.server("datanode"):
        wait_until_live(hdfs)
        text = base64.b64encode(CONTENT).decode()
        hdfs_client.ask(hdfs.address, "write", "/log/one", text)
        (file,) = hdfs_client.ask(hdfs.address, "list", "/")
        assert file == {"path": "/log/one", "length": len(CONTENT), "replication": 1}
    with hdfs.server("namenode"), hdfs.server("datanode"):
        wait_until_live(hdfs)
        read = hdfs_client.ask(hdfs.address, "read", "/log/one")
    assert base64.b64decode(read) == CONTENT
    assert (tmp_path / "namenode.log").read_text().count(
        "been successfully format"
    ) == 1
