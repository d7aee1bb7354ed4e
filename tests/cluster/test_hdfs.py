"""An HDFS in the lab: Spark writes and reads it, a client without Java reads it too.

All pods run on w1, where the client is: a node's own processes reach its pods whatever
network policies say. The data end with the pods, as the lab has no provisioner. The
images have 1.0 GB and are built on demand, so the tests run if `HDFS` is set.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest

import lab
from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import hdfs_client, host_volume, stack_command
from tests.support.hdfs_run import WANTED
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

IMAGES = ("spark", "hdfs")
pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        WANTED not in os.environ,
        reason=f"{WANTED}=1 builds the images spark and hdfs (1.0 GB) and runs them",
    ),
]
STACK, HOST, JOB = "jobs.hdfs", "w1", "write-numbers"
NAMES, NODES = "hdfs-namenode", "hdfs-datanode"
FOLDER = "/var/lib/slipway-test-hdfs"
SECONDS = 420
"""Of a run; on two calm cores it should take a minute."""
ROWS, SUM = 1000, 999_000
PROGRAM = f"""
import os
from pyspark.sql import SparkSession

place = os.environ["SLIPWAY_HDFS"] + "/numbers"
spark = SparkSession.builder.getOrCreate()
numbers = spark.range({ROWS}).selectExpr("id", "id * 2 AS twice")
numbers.repartition(2).write.mode("overwrite").parquet(place)
print("sum", spark.read.parquet(place).agg({{"twice": "sum"}}).first()[0], flush=True)
"""
SMALL_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
ON_HOST = {"kubernetes.io/hostname": HOST}
SMALL = {"cpu_request_millicores": 20, "memory_mib": 448, "size_gib": 1}
HDFS: dict[str, Any] = {
    "data_nodes": 2,
    "name_node": SMALL,
    "data_node": SMALL,
    "temporary": True,
    "node_selector": ON_HOST,
}
SPARK: dict[str, Any] = {
    "image": "spark",
    "main": f"/storage/{JOB}/write_numbers.py",
    "driver": {"cpu_request_millicores": 100, "memory_mib": 1088},
    "executors": {
        "instances": 1,
        "cpu_request_millicores": 100,
        "memory_mib": 896,
        "memory_overhead_mib": 384,
    },
    "storage": {"claim": JOB, "many_nodes": True},
    "hdfs": True,
    "deadline_seconds": SECONDS,
    "properties": {
        "spark.driver.extraJavaOptions": SMALL_JAVA,
        "spark.executor.extraJavaOptions": SMALL_JAVA,
    },
}


@pytest.fixture(scope="module")
def stack(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnStack]:
    images.push(names=list(IMAGES))
    own = OwnStack(STACK, Path(tmp_path_factory.mktemp("hdfs")))
    host, made = lab.Lab().host(HOST), host_volume.claimed(JOB, HOST, FOLDER)
    with ExitStack() as cleanup:
        host.run(["rm", "-rf", FOLDER])
        cleanup.callback(host.run, ["rm", "-rf", FOLDER])
        host.run(["mkdir", "-p", f"{FOLDER}/{JOB}"])
        host.run(["tee", f"{FOLDER}/{JOB}/write_numbers.py"], text=PROGRAM)
        host.run(["chmod", "-R", "a+rwX", FOLDER])
        cleanup.callback(cluster.kube.delete, *reversed(made))
        cluster.kube.apply(*made)
        cleanup.callback(own.down)
        own.up(hdfs=HDFS, spark={JOB: SPARK})
        yield own


def of_host() -> list[str]:
    """What runs a program of this machine in the host's network."""
    init = lab.Lab().host(HOST).init
    assert init
    return ["nsenter", f"--net=/proc/{init.pid}/ns/net"]


def namenode(cluster: Cluster) -> str:
    """The address of the NameNode's pod."""
    labels = f"app.kubernetes.io/instance={NAMES}"
    (pod,) = wait_until(lambda: cluster.kube.ready_pods(labels), 240, "a NameNode")
    return str(pod["status"]["podIP"])


def ask(cluster: Cluster, *words: str) -> Any:
    """What hdfs-native answers, or None where HDFS does not."""
    address = f"hdfs://{namenode(cluster)}:8020"
    try:
        return hdfs_client.ask(address, *words, before=of_host())
    except hdfs_client.HdfsError as error:
        print(error)
        return None


def live_data_nodes(cluster: Cluster) -> int:
    """How many DataNodes have registered."""
    query = "qry=Hadoop:service=NameNode,name=FSNamesystemState"
    url = f"http://{namenode(cluster)}:9870/jmx?{query}"
    code = f"import urllib.request as it; print(it.urlopen({url!r}).read().decode())"
    done = subprocess.run(
        [*of_host(), sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        return 0
    (bean,) = json.loads(done.stdout)["beans"] or [{}]
    return int(bean.get("NumLiveDataNodes", 0))


def read(cluster: Cluster, folder: Path) -> list[str]:
    """Fetches the files that Spark wrote; their paths here."""
    listed = ask(cluster, "list", "/numbers")
    assert listed, "hdfs-native lists nothing"
    files = [it for it in listed if it["path"].endswith(".parquet")]
    assert [it["replication"] for it in files] == [2, 2]
    found = []
    for number, file in enumerate(files):
        content = base64.b64decode(ask(cluster, "read", file["path"]))
        assert len(content) == file["length"]
        path = folder / f"{number}.parquet"
        path.write_bytes(content)
        found.append(str(path))
    return found


def total(files: list[str]) -> tuple[int, int]:
    """Rows and the sum of a column, by DuckDB."""
    query = "SELECT count(*), sum(twice) FROM read_parquet(?)"
    row = duckdb.execute(query, [files]).fetchone()
    assert row
    return int(row[0]), int(row[1])


def test_what_spark_writes_is_read_without_java_and_outlives_a_namenodes_process(
    cluster: Cluster, stack: OwnStack, tmp_path: Path
) -> None:
    wait_until(lambda: live_data_nodes(cluster) == 2, 240, "two DataNodes")
    command = stack_command.start(stack.root, "run", JOB, "--wait", "--stack", STACK)
    status, said = stack_command.ended(command, SECONDS)
    assert status == 0, said
    assert f"sum {SUM}" in said
    assert total(read(cluster, tmp_path)) == (ROWS, SUM)

    end = "import os, signal; os.kill(1, signal.SIGTERM)"
    place = ("-n", "models", f"{NAMES}-0", "--")
    cluster.kube.run("exec", *place, "python3", "-c", end)
    wait_until(
        lambda: cluster.kube.get("pod", f"{NAMES}-0")["status"]["containerStatuses"][0][
            "restartCount"
        ],
        120,
        "another process",
    )
    wait_until(lambda: live_data_nodes(cluster) == 2, 240, "both DataNodes again")
    wait_until(lambda: ask(cluster, "list", "/numbers"), 120, "an answer")
    assert total(read(cluster, tmp_path)) == (ROWS, SUM)


def test_prometheus_reads_the_servers_metrics(
    cluster: Cluster, stack: OwnStack
) -> None:
    def live() -> list[str]:
        query = "fs_namesystem_num_live_data_nodes"
        url = f"{cluster.urls['prometheus']}/api/v1/query?query={query}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return [one["value"][1] for one in found]

    del stack
    wait_until(lambda: live() == ["2"], 120, "the NameNode's metrics", pause=5)
