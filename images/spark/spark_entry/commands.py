"""The commands of Spark's processes, from arguments and environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

SPARK_HOME = "/app/lib/pyspark"
JAVA_HOME = "/usr/lib/jvm/default"
PROPERTIES = "/etc/slipway-spark/spark.properties"
EXECUTOR_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
HISTORY_SERVER = "org.apache.spark.deploy.history.HistoryServer"
_JAVA_OPTION = re.compile(r"SPARK_JAVA_OPT_([0-9]+)")

Environment = Mapping[str, str]


class UsageError(Exception):
    """A process cannot be started: what is missing, and where it comes from."""


def of(arguments: Sequence[str], environment: Environment) -> list[str]:
    """Return a program's path and its arguments. Raises UsageError."""
    makers: dict[str, Callable[[Sequence[str], Environment], list[str]]] = {
        "driver": _driver,
        "executor": _executor,
        "history": _history,
    }
    what = arguments[0] if arguments else ""
    if what not in makers:
        raise UsageError(f"{what!r} is not one of {', '.join(makers)}")
    return makers[what](arguments[1:], environment)


def _driver(arguments: Sequence[str], environment: Environment) -> list[str]:
    """spark-submit in client mode; the pod's name owns the executors."""
    if not arguments:
        raise UsageError("driver needs the path of the program to run")
    name, address = _needed(environment, "SPARK_POD_NAME", "SPARK_POD_IP")
    words = [f"{_home(environment)}/bin/spark-submit"]
    words += ["--properties-file", environment.get("SPARK_PROPERTIES", PROPERTIES)]
    words += ["--conf", f"spark.kubernetes.driver.pod.name={name}"]
    words += ["--conf", f"spark.driver.host={address}"]
    # In Spark 4.3 executors call the address that the driver binds, not its host.
    words += ["--conf", f"spark.driver.bindAddress={address}"]
    if main_class := environment.get("SPARK_MAIN_CLASS"):
        words += ["--class", main_class]
    return words + list(arguments)


def _executor(_: Sequence[str], environment: Environment) -> list[str]:
    """As Spark's own entrypoint.sh for Kubernetes has it.

    https://github.com/apache/spark/blob/v4.0.0/resource-managers/kubernetes/docker/src/main/dockerfiles/spark/entrypoint.sh
    """
    variables = {
        "--driver-url": "SPARK_DRIVER_URL",
        "--executor-id": "SPARK_EXECUTOR_ID",
        "--cores": "SPARK_EXECUTOR_CORES",
        "--app-id": "SPARK_APPLICATION_ID",
        "--hostname": "SPARK_EXECUTOR_POD_IP",
        "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
        "--podName": "SPARK_EXECUTOR_POD_NAME",
    }
    values = _needed(environment, *variables.values())
    (heap,) = _needed(environment, "SPARK_EXECUTOR_MEMORY")
    java = f"{environment.get('JAVA_HOME', JAVA_HOME)}/bin/java"
    words = [java, *_java_options(environment), f"-Xms{heap}", f"-Xmx{heap}"]
    words += ["-cp", f"{_home(environment)}/jars/*", EXECUTOR_BACKEND]
    for option, value in zip(variables, values, strict=True):
        words += [option, value]
    return words


def _java_options(environment: Environment) -> list[str]:
    """The driver's options for the executor's JVM, in the order of their numbers."""
    found = {
        int(match[1]): value
        for name, value in environment.items()
        if (match := _JAVA_OPTION.fullmatch(name))
    }
    return [found[number] for number in sorted(found)]


def _history(_: Sequence[str], environment: Environment) -> list[str]:
    properties = environment.get("SPARK_PROPERTIES", PROPERTIES)
    program = f"{_home(environment)}/bin/spark-class"
    return [program, HISTORY_SERVER, "--properties-file", properties]


def _home(environment: Environment) -> str:
    return environment.get("SPARK_HOME", SPARK_HOME)


def _needed(environment: Environment, *names: str) -> list[str]:
    if missing := [name for name in names if not environment.get(name)]:
        raise UsageError(
            f"{', '.join(missing)} must be set: the pod's template or Spark's driver "
            "does that"
        )
    return [environment[name] for name in names]
