"""The Spark image's entry point and the counting program, run without a cluster.

The driver runs in local mode, and in client mode against an API server whose pods are
processes of this machine (tests/support/spark_pods.py). Needs Java and Spark, as
test_counts_spark.py does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from components import naming
from components.training import spark_pod, spark_properties
from components.training.spark_settings import SparkJobArgs
from tests.support import spark_engine, spark_logs, spark_pods
from tests.support.rendered import reference
from toolchain import own_venv, paths

pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        bool(spark_engine.reason_to_skip()), reason=spark_engine.reason_to_skip() or "-"
    ),
]
PROGRAM = paths.ROOT / "images" / "monitor_spark" / "count_log.py"
SMALL_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
SECONDS = 540
"""Of one run; it takes a minute where nothing else runs."""
POD = "counts-x7k2p-abcde"
NAMESPACE = "models"


@dataclass(frozen=True)
class Driver:
    """A folder to work in, and the image's variables."""

    folder: Path
    variables: dict[str, str]

    def run(
        self, properties: dict[str, str], main: Path, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        file = self.folder / "spark.properties"
        file.write_text(spark_properties.text(properties))
        pod = {"SPARK_POD_NAME": POD, "SPARK_POD_IP": "127.0.0.1"}
        written = self.folder / "driver.log"
        with written.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "spark_entry", "driver", str(main), *arguments],
                env={
                    **self.variables,
                    **pod,
                    "SPARK_PROPERTIES": str(file),
                    "SPARK_EVENT_LOG": str(self.folder / "events"),
                },
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            pytest.fail(f"not within {SECONDS} s:\n{written.read_text()[-4000:]}")
        said = written.read_text()
        return subprocess.CompletedProcess([], process.returncode, said, "")


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    python = own_venv.python(spark_engine.REQUIREMENTS)
    (pyspark,) = python.parents[1].glob("lib/python*/site-packages/pyspark")
    variables = spark_pods.image(pyspark)
    # The monitor and its libraries, which its image has beside Spark.
    libraries = Path(np.__file__).parents[1]
    added = f"{paths.ROOT / 'images' / 'model_monitor'}:{libraries}"
    return Driver(
        tmp_path,
        variables
        | {
            "PYTHONPATH": f"{variables['PYTHONPATH']}:{added}",
            "PYSPARK_PYTHON": str(python),
        },
    )


def settings(**more: object) -> SparkJobArgs:
    small = {"memory_mib": 1024, "memory_overhead_mib": 512}
    return SparkJobArgs.model_validate(
        {
            "image": reference("spark"),
            "main": "/app/program.py",
            "driver": small,
            "executors": {**small, "instances": 2},
            "event_log": {"claim": "events"},
            "decommission_seconds": 60,
            **more,
        }
    )


def properties(folder: Path, job: SparkJobArgs) -> dict[str, str]:
    """Those of the job, but for what a machine without pods lacks."""
    return spark_properties.of("counts", NAMESPACE, job) | {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.eventLog.dir": f"file:{folder / 'events'}",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "tables"),
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.extraJavaOptions": SMALL_JAVA,
        "spark.executor.extraJavaOptions": SMALL_JAVA,
    }


def test_a_log_is_counted_in_local_mode_as_duckdb_does(driver: Driver) -> None:
    log, out = driver.folder / "log", driver.folder / "out"
    found = spark_logs.write(log, days=2, rows=300)
    ours = spark_logs.counted(log, found)
    local = properties(driver.folder, settings()) | {"spark.master": "local[1]"}
    words = spark_logs.arguments(str(log), str(found), str(out))
    done = driver.run(local, PROGRAM, *words)
    assert done.returncode == 0, done.stdout
    assert "2 days to count of income" in done.stdout
    for date, cohort in ours.items():
        file = out / "counts" / f"model={spark_logs.MODEL}" / f"date={date}.json"
        spark_logs.assert_same(file.read_text(), cohort)
    assert any((driver.folder / "events").iterdir())
    # The monitor takes them for its own.
    shutil.rmtree(log / "counts")
    assert len(spark_logs.uncounted(log, found)) == 2
    shutil.copytree(out / "counts", log / "counts")
    assert spark_logs.uncounted(log, found) == []
    # A repetition has nothing left to do.
    again = driver.run(local, PROGRAM, *words)
    assert "0 days to count of income" in again.stdout, again.stdout


def test_a_driver_makes_executors_and_asks_for_pods_alone(driver: Driver) -> None:
    job = settings()
    template = driver.folder / "executor.json"
    labels = naming.labels(naming.SPARK_JOB, instance="counts", component="spark")
    template.write_text(spark_pod.template("counts", job, labels))
    program = driver.folder / "program.py"
    program.write_text(
        "import sys, time\n"
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "table = spark.range(0, 1000, 1, 4).selectExpr('id % 10 as k', 'id')\n"
        "print('SUM', table.groupBy('k').sum('id').orderBy('k').collect()[0][1])\n"
        "spark.stop()\n"
        "sys.exit(3)\n"
    )
    pods = spark_pods.Pods(driver.variables, driver.folder / "executors.log")
    pods.add_driver(POD)
    with spark_pods.served(pods) as url:
        done = driver.run(
            properties(driver.folder, job)
            | {
                "spark.master": f"k8s://{url}",
                "spark.kubernetes.executor.podTemplateFile": str(template),
            },
            program,
        )
    assert done.returncode == 3, done.stdout
    assert f"SUM {sum(range(0, 1000, 10))}" in done.stdout, done.stdout
    # So no rights to anything else are needed.
    assert {path for _, path in pods.requests} <= {
        spark_pods.PODS,
        f"{spark_pods.PODS}/{POD}",
        *(f"{spark_pods.PODS}/{name}" for name in pods.processes),
    }
    for pod in pods.posted:
        assert_an_executor(pod)


def assert_an_executor(pod: dict[str, object]) -> None:
    """What Spark made of the template is what the component promises."""
    found = spark_pods.Object(pod)
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Pod", POD)
    labels = found["metadata"]["labels"]
    assert labels["spark-role"] == "executor"
    assert labels["app.kubernetes.io/instance"] == "counts"
    spec = found["spec"]
    (container,) = spec["containers"]
    assert spec["terminationGracePeriodSeconds"] == 60
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "counts-executor"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["/app/decommission"]
    assert [one["containerPort"] for one in container["ports"]] == [7079]
    assert container["resources"]["limits"]["memory"] == "1024Mi"
    # The API server refuses a pod with two mounts at one path.
    places = [one["mountPath"] for one in container["volumeMounts"]]
    assert len(set(places)) == len(places), places
    assert all(one.get("emptyDir") != {} for one in spec["volumes"]), "without a size"
