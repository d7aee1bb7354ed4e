"""The entry point of the Spark image: which process starts, by what arguments."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from spark_entry import __main__ as entry
from spark_entry import commands

from components.security import pod_defaults
from components.training import gang, spark_pod, spark_properties
from toolchain import paths

FOLDER = paths.ROOT / "images" / "spark"
POD = {"SPARK_POD_NAME": "counts-x7k2p-abcde", "SPARK_POD_IP": "10.0.0.7"}
EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.7:7078",
    "SPARK_EXECUTOR_ID": "2",
    "SPARK_EXECUTOR_CORES": "4",
    "SPARK_EXECUTOR_MEMORY": "512m",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.8",
    "SPARK_EXECUTOR_POD_NAME": "counts-1-exec-2",
}


def test_a_driver_is_submitted_with_its_pods_name_and_address() -> None:
    words = commands.of(["driver", "/app/counts.py", "--days", "31"], POD)
    assert words[0] == "/app/lib/pyspark/bin/spark-submit"
    assert words[-3:] == ["/app/counts.py", "--days", "31"]
    conf = [words[at + 1] for at, word in enumerate(words) if word == "--conf"]
    assert "spark.kubernetes.driver.pod.name=counts-x7k2p-abcde" in conf
    assert "spark.driver.host=10.0.0.7" in conf
    assert "spark.driver.bindAddress=10.0.0.7" in conf
    file = words[words.index("--properties-file") + 1]
    assert file == f"{spark_properties.FOLDER}/{spark_properties.PROPERTIES}"


def test_a_jar_is_started_by_its_class() -> None:
    more = {**POD, "SPARK_MAIN_CLASS": "org.example.Counts"}
    words = commands.of(["driver", "/app/counts.jar"], more)
    assert words[-3:] == ["--class", "org.example.Counts", "/app/counts.jar"]


def test_an_executor_is_started_as_spark_says() -> None:
    options = {"SPARK_JAVA_OPT_10": "-Db=2", "SPARK_JAVA_OPT_9": "-Da=1"}
    words = commands.of(["executor"], {**EXECUTOR, **options})
    assert words[0].endswith("/bin/java")
    # By their numbers, not as texts: a later option replaces an earlier one.
    assert words[1:5] == ["-Da=1", "-Db=2", "-Xms512m", "-Xmx512m"]
    assert words[words.index("-cp") + 1] == "/app/lib/pyspark/jars/*"
    given = dict(zip(words[8::2], words[9::2], strict=True))
    assert given == {
        "--driver-url": EXECUTOR["SPARK_DRIVER_URL"],
        "--executor-id": "2",
        "--cores": "4",
        "--app-id": "spark-1",
        "--hostname": "10.0.0.8",
        "--resourceProfileId": "0",
        "--podName": "counts-1-exec-2",
    }


def test_a_history_server_reads_its_own_properties() -> None:
    words = commands.of(["history"], {"SPARK_PROPERTIES": "/a/history.properties"})
    assert words[1:] == [
        commands.HISTORY_SERVER,
        *("--properties-file", "/a/history.properties"),
    ]


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        ([], {}, "'' is not one of driver, executor, history"),
        (["master"], {}, "'master' is not one of"),
        (["driver"], POD, "driver needs the path of the program"),
        (["driver", "/app/a.py"], {}, "SPARK_POD_NAME, SPARK_POD_IP must be set"),
        (["executor"], {**EXECUTOR, "SPARK_EXECUTOR_ID": ""}, "SPARK_EXECUTOR_ID must"),
    ],
)
def test_what_cannot_start_fails_the_job_at_once(
    arguments: list[str],
    environment: dict[str, str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(arguments, environment)
    assert ended.value.code == entry.BAD_CONFIGURATION == gang.BAD_CONFIGURATION
    assert reason in capsys.readouterr().err


def test_the_event_logs_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execve", lambda _, words, __: started.append(words))
    folder = tmp_path / "events" / "counts"
    entry.main(["driver", "/app/a.py"], {**POD, "SPARK_EVENT_LOG": str(folder)})
    assert folder.is_dir()
    assert len(started) == 1


def test_image_and_component_agree() -> None:
    text = (FOLDER / "Containerfile").read_text()
    assert f"SPARK_HOME={commands.SPARK_HOME}" in text
    assert f"JAVA_HOME={commands.JAVA_HOME}" in text
    assert f"COPY decommission {spark_properties.DECOMMISSION}" in text
    assert os.access(FOLDER / "decommission", os.X_OK)
    assert f"spark:x:{pod_defaults.USER}:{pod_defaults.USER}:" in text
    ports = re.search(r"(?m)^EXPOSE (.*)$", text)
    assert ports
    assert {int(one) for one in ports[1].split()} == {
        spark_properties.PAGES_PORT,
        spark_properties.DRIVER_PORT,
        spark_properties.BLOCK_PORT,
        spark_properties.HISTORY_PORT,
    }
    read = set(re.findall(r'"(SPARK_(?:MAIN|POD|PROP|EVENT)\w+)"', _sources()))
    assert read <= spark_pod.OWN_VARIABLES


def _sources() -> str:
    files = sorted((FOLDER / "spark_entry").glob("*.py"))
    return "".join(file.read_text() for file in files)
