"""A Spark job as a component: driver, executors' template, policies, history server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.catalog import instance_type
from components.cluster.nodes import node_capacity
from components.settings import SettingsError
from components.training import spark_pool_problems, spark_program, spark_properties
from components.training.spark_settings import SparkJobArgs
from slipway.rendering.render import Rendered, render
from tests.support import pod_security
from tests.support.rendered import IMAGES, manifest, reference

NAME = "counts"
JOB: dict[str, Any] = {"image": "spark", "main": "/app/counts.py"}
LOGS = {"claim": "logs", "many_nodes": True}


def job(**args: Any) -> Rendered:
    config = {"cluster": {"kubeconfig": "lab"}, "spark": {NAME: {**JOB, **args}}}
    return render("jobs.test", config=config, images=IMAGES)


def args(**more: Any) -> SparkJobArgs:
    return SparkJobArgs.model_validate({**JOB, "image": reference("spark"), **more})


def named(made: Rendered, kind: str, name: str) -> Any:
    (found,) = [
        it
        for it in made.manifests
        if it["kind"] == kind and it["metadata"]["name"] == name
    ]
    return found


def run(**more: Any) -> Any:
    """The Job's spec, as a run of it gets it."""
    return manifest(job(**more), "CronJob")["spec"]["jobTemplate"]["spec"]


def driver(**more: Any) -> Any:
    return run(**more)["template"]["spec"]


def files(**more: Any) -> dict[str, str]:
    found: dict[str, str] = manifest(job(**more), "ConfigMap")["data"]
    return found


def properties(**more: Any) -> dict[str, str]:
    lines = files(**more)[spark_properties.PROPERTIES].splitlines()
    return dict(line.split("=", 1) for line in lines)


def executor(**more: Any) -> Any:
    """The template of executors' pods."""
    return json.loads(files(**more)[spark_properties.TEMPLATE])


def test_one_driver_at_a_time_and_bad_settings_end_the_run() -> None:
    made = run(retries=2, deadline_seconds=600)
    assert (made["completions"], made["parallelism"]) == (1, 1)
    assert (made["backoffLimit"], made["activeDeadlineSeconds"]) == (2, 600)
    # Else a second driver starts while the first may still write.
    assert made["podReplacementPolicy"] == "Failed"
    fails, ignored = made["podFailurePolicy"]["rules"]
    assert fails["onExitCodes"] == {
        "containerName": "driver",
        "operator": "In",
        "values": [78],
    }
    assert ignored["onPodConditions"][0]["type"] == "DisruptionTarget"


def test_the_template_starts_nothing_by_itself() -> None:
    assert manifest(job(), "CronJob")["spec"]["suspend"] is True
    scheduled = manifest(job(schedule="15 2 * * *"), "CronJob")["spec"]
    assert (scheduled["suspend"], scheduled["schedule"]) == (False, "15 2 * * *")


def test_the_driver_alone_has_rights_and_they_are_to_pods() -> None:
    made = job()
    (rule,) = manifest(made, "Role")["rules"]
    assert (rule["apiGroups"], rule["resources"]) == ([""], ["pods"])
    binding = manifest(made, "RoleBinding")
    assert [it["name"] for it in binding["subjects"]] == [NAME]
    pod = driver()
    assert pod["serviceAccountName"] == NAME
    mounts = {it["name"] for it in pod["containers"][0]["volumeMounts"]}
    assert "api-access" in mounts
    template = executor()["spec"]
    assert template["serviceAccountName"] == f"{NAME}-executor"
    assert template["automountServiceAccountToken"] is False
    assert "api-access" not in {it["name"] for it in template["volumes"]}


def test_spark_is_not_to_make_what_the_driver_has_no_rights_to() -> None:
    found = properties()
    assert found["spark.kubernetes.executor.disableConfigMap"] == "true"
    assert found["spark.kubernetes.driver.ownPersistentVolumeClaim"] == "false"
    assert found["spark.kubernetes.driver.service.deleteOnTermination"] == "false"


def test_driver_and_executors_are_restricted_alike() -> None:
    storage = {"storage": LOGS, "data": {"image": "employment"}}
    pod, template = driver(**storage), executor(**storage)["spec"]
    assert pod_security.violations(pod) == []
    assert pod_security.violations(template) == []
    assert template["securityContext"] == pod["securityContext"]
    (ours,), (theirs,) = pod["containers"], template["containers"]
    assert theirs["securityContext"] == ours["securityContext"]
    same = [it for it in ours["volumeMounts"] if it in theirs["volumeMounts"]]
    assert {it["mountPath"] for it in same} == {"/tmp", "/storage", "/data"}


def test_spark_takes_the_templates_folder_for_its_own() -> None:
    """By the name of the volume; else it adds one at the same path without a size."""
    template = executor(executors={"scratch_mib": 2048})["spec"]
    (scratch,) = [it for it in template["volumes"] if "emptyDir" in it]
    assert scratch["name"].startswith("spark-local-dir-")
    assert scratch["emptyDir"] == {"sizeLimit": "2Gi"}
    (mount,) = template["containers"][0]["volumeMounts"]
    # Spark's own default for the driver; it says so if the property is set.
    assert mount["mountPath"] == "/tmp"
    assert "spark.local.dir" not in properties()
    limits = template["containers"][0]["resources"]["limits"]
    assert limits == {"ephemeral-storage": "2112Mi"}


def peers(rule: dict[str, Any], way: str) -> list[str]:
    """Roles of the job that a rule is about."""
    found = []
    for peer in rule.get(way, []):
        labels = peer.get("podSelector", {}).get("matchLabels", {})
        if "spark-role" in labels:
            assert labels["app.kubernetes.io/instance"] == NAME
            found.append(labels["spark-role"])
    return found


def ports(rule: dict[str, Any]) -> set[int]:
    return {it["port"] for it in rule["ports"]}


def test_driver_and_executors_reach_each_other_on_fixed_ports_alone() -> None:
    made, found = job(), properties()
    rpc, blocks = int(found["spark.driver.port"]), int(found["spark.blockManager.port"])
    assert found["spark.driver.blockManager.port"] == str(blocks)
    assert found["spark.port.maxRetries"] == "0"
    of_driver = named(made, "NetworkPolicy", NAME)["spec"]
    of_executors = named(made, "NetworkPolicy", f"{NAME}-executor")["spec"]
    (called,) = of_driver["ingress"]
    assert (peers(called, "from"), ports(called)) == (["executor"], {rpc, blocks})
    (fetched,) = of_executors["ingress"]
    assert peers(fetched, "from") == ["driver", "executor"]
    assert ports(fetched) == {blocks}
    to_driver, to_executors, _ = of_executors["egress"]
    assert (peers(to_driver, "to"), ports(to_driver)) == (["driver"], {rpc, blocks})
    assert (peers(to_executors, "to"), ports(to_executors)) == (["executor"], {blocks})
    from_driver, api_server, _ = of_driver["egress"]
    assert (peers(from_driver, "to"), ports(from_driver)) == (["executor"], {blocks})
    assert ports(api_server) == {443, 6443}


def test_the_policies_select_the_pods() -> None:
    made = job()
    of_driver = named(made, "NetworkPolicy", NAME)["spec"]["podSelector"]
    of_executors = named(made, "NetworkPolicy", f"{NAME}-executor")["spec"]
    labels = run()["template"]["metadata"]["labels"]
    assert of_driver["matchLabels"].items() <= labels.items()
    theirs = executor()["metadata"]["labels"]
    assert of_executors["podSelector"]["matchLabels"].items() <= theirs.items()
    assert not of_driver["matchLabels"].items() <= theirs.items()


def test_a_bucket_and_egress_open_what_they_need_for_both() -> None:
    made = job(
        storage={"bucket": "s3://a-b/c"},
        egress=[{"cidr": "10.20.0.0/16", "ports": [5432]}],
    )
    for name in (NAME, f"{NAME}-executor"):
        *_, bucket, database = named(made, "NetworkPolicy", name)["spec"]["egress"]
        assert bucket == {"ports": [{"port": 443, "protocol": "TCP"}]}
        assert database["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]


def test_memory_is_split_into_heap_and_the_rest() -> None:
    own = {"memory_mib": 2048, "memory_overhead_mib": 512, "cores": 2}
    found = properties(executors=own, driver=own)
    assert found["spark.executor.memory"] == found["spark.driver.memory"] == "1536m"
    assert found["spark.executor.memoryOverhead"] == "512m"
    assert found["spark.executor.cores"] == "2"
    assert found["spark.kubernetes.executor.limit.cores"] == "2"
    (container,) = driver(driver=own)["containers"]
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert container["resources"]["requests"]["memory"] == "2Gi"


def test_executors_are_scaled_between_their_bounds_only_if_there_are_two() -> None:
    prefix = "spark.dynamicAllocation"
    assert not any(key.startswith(prefix) for key in properties())
    found = properties(executors={"instances": 2, "max_instances": 5})
    assert found[f"{prefix}.minExecutors"] == "2"
    assert found[f"{prefix}.maxExecutors"] == "5"
    assert found[f"{prefix}.shuffleTracking.enabled"] == "true"


def test_decommissioning_has_a_grace_and_the_images_script() -> None:
    assert "spark.decommission.enabled" not in properties()
    found = properties(decommission_seconds=60)
    assert found["spark.decommission.enabled"] == "true"
    assert found["spark.storage.decommission.shuffleBlocks.enabled"] == "true"
    grace = "spark.kubernetes.executor.terminationGracePeriodSeconds"
    assert found[grace] == "60"
    assert found["spark.kubernetes.decommission.script"] == "/app/decommission"


def test_the_event_log_lies_where_it_is_mounted() -> None:
    log = {**LOGS, "path": "events"}
    found = properties(event_log=log)
    assert found["spark.eventLog.dir"] == "file:/event-log/events"
    (container,) = driver(event_log=log)["containers"]
    made = {it["name"]: it.get("value") for it in container["env"]}
    assert made["SPARK_EVENT_LOG"] == "/event-log/events"
    assert properties(event_log={"bucket": "s3://a-b/c"})["spark.eventLog.dir"] == (
        "s3a://a-b/c"
    )


def test_a_claim_is_one_volume_wherever_it_is_mounted() -> None:
    """A kubelet may wait for ever for a second volume of the same claim."""
    both = {"storage": LOGS, "event_log": {**LOGS, "path": "events"}}
    for pod in (driver(**both), executor(**both)["spec"]):
        claims = [it for it in pod["volumes"] if "persistentVolumeClaim" in it]
        assert [it["persistentVolumeClaim"]["claimName"] for it in claims] == ["logs"]
        mounts = pod["containers"][0]["volumeMounts"]
        places = {it["mountPath"] for it in mounts if it["name"] == claims[0]["name"]}
        assert places == {"/storage", "/event-log"}


def test_a_history_server_is_made_on_request_and_closed() -> None:
    assert not [
        it for it in job(event_log=LOGS).manifests if it["kind"] == "Deployment"
    ]
    made = job(event_log=LOGS, history_server=True)
    server = named(made, "Deployment", f"{NAME}-history")["spec"]
    policy = named(made, "NetworkPolicy", f"{NAME}-history")["spec"]
    assert "ingress" not in policy
    labels = server["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    pod = server["template"]["spec"]
    assert pod_security.violations(pod) == []
    assert pod["containers"][0]["args"] == ["history"]
    text = manifest(made, "ConfigMap")["data"]["history.properties"]
    assert f"spark.history.fs.logDirectory=file:/event-log/{NAME}\n" in text


def test_arguments_and_variables_are_handed_over_as_they_stand() -> None:
    words = {"arguments": ["$(HOME)"], "environment": {"PRICE": "$(5)"}}
    (container,) = driver(**words)["containers"]
    assert container["args"] == ["driver", "/app/counts.py", "$$(HOME)"]
    values = {it["name"]: it.get("value") for it in container["env"]}
    assert values["PRICE"] == "$$(5)"
    theirs = executor(**words)["spec"]["containers"][0]["env"]
    assert {"name": "PRICE", "value": "$$(5)"} in theirs


def test_a_pool_is_for_its_pods_alone() -> None:
    found = {"executors": {"pool": "elastic"}, "node_selector": {"zone": "a"}}
    assert driver(**found)["nodeSelector"] == {"zone": "a"}
    chosen = executor(**found)["spec"]["nodeSelector"]
    assert chosen == {"slipway.dev/pool": "elastic", "zone": "a"}


def test_every_property_that_the_job_sets_is_refused_to_its_user() -> None:
    every = args(
        executors={"max_instances": 4},
        event_log=LOGS,
        history_server=True,
        decommission_seconds=60,
    )
    ours = {
        **spark_properties.of(NAME, "models", every),
        **spark_properties.history(NAME, every),
    }
    free = {key for key in ours if spark_properties.owned(key) is None}
    assert free == set(spark_properties.USUAL)
    for key in ("spark.executor.memoryOverheadFactor", "spark.driver.memoryOverhead"):
        assert spark_properties.owned(key)
    for key in ("spark.executor.extraJavaOptions", "spark.sql.ansi.enabled"):
        assert spark_properties.owned(key) is None


def test_a_refused_property_that_looks_like_a_secret_is_not_shown() -> None:
    given = {"spark.executorEnv.DB_PASSWORD": "hunter2-hunter2"}
    with pytest.raises(SettingsError) as raised:
        job(properties=given)
    assert "hunter2" not in str(raised.value)
    assert "set environment" in str(raised.value)


def test_a_users_property_replaces_a_usual_one() -> None:
    assert properties()["spark.log.level"] == "WARN"
    found = properties(properties={"spark.log.level": "INFO"})
    assert found["spark.log.level"] == "INFO"


@pytest.mark.parametrize(
    ("value", "line"), [("a\\b", "a=a\\\\b\n"), (" a", "a=\\ a\n"), ("a=b", "a=a=b\n")]
)
def test_values_are_escaped_as_java_reads_them(value: str, line: str) -> None:
    assert spark_properties.text({"a": value}) == line


def test_the_least_heap_is_taken() -> None:
    least = spark_program.LEAST_HEAP_MIB
    found = args(driver={"memory_mib": least + 256, "memory_overhead_mib": 256})
    assert found.driver.heap_mib == least


def test_a_node_has_room_for_what_is_counted() -> None:
    """The check of max_instances counts by CPU and memory, whichever is less."""
    t = instance_type("m7a.xlarge")
    memory = node_capacity.pod_memory_mib(t)
    one = args(executors={"memory_mib": memory // 2, "cpu_request_millicores": 100})
    assert spark_pool_problems._fitting("m7a.xlarge", one.executors) == 2
    busy = args(executors={"cores": 2, "cpu_request_millicores": 1800})
    assert spark_pool_problems._fitting("m7a.xlarge", busy.executors) == 1 + (
        node_capacity.pod_cpu_millicores(t) >= 3600
    )
