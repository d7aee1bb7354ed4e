"""A training job as a component: what a gang is given, and what ends or restarts it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components.cluster.nodes.reserved_pool import ReservedPool
from components.training import frameworks, gang, job_problems, pool_problems
from components.training.accelerator_settings import Accelerator
from components.training.training_settings import TrainingJobArgs
from slipway.rendering.render import Rendered, render
from tests.support import pod_security
from tests.support.rendered import IMAGES, manifest, resource

NAME = "net"
RUN = "net-x7k2p"
TORCHRUN_C10D = 29400
"""https://docs.pytorch.org/docs/stable/elastic/run.html"""
JOB: dict[str, Any] = {
    "image": "model-server",
    "command": ["python3", "-m", "net"],
    "nodes": 2,
}


def jobs(**training: Any) -> Rendered:
    config = {"cluster": {"kubeconfig": "lab"}, "training": training}
    return render("jobs.test", config=config, images=IMAGES)


def job(**args: Any) -> Rendered:
    return jobs(**{NAME: {**JOB, **args}})


def spec(**args: Any) -> Any:
    """The Job's, as a run of it gets it."""
    return manifest(job(**args), "CronJob")["spec"]["jobTemplate"]["spec"]


def pod(**args: Any) -> Any:
    return spec(**args)["template"]["spec"]


def variables(rank: int, **args: Any) -> dict[str, str]:
    """What a worker's program sees: references resolved as Kubernetes does it.

    A reference to what stands later is left as it is.
    """
    (worker,) = pod(**args)["containers"]
    labels = {frameworks.JOB_NAME_LABEL: RUN, frameworks.INDEX_LABEL: str(rank)}
    found: dict[str, str] = {}
    for one in worker["env"]:
        if "valueFrom" in one:
            path = one["valueFrom"]["fieldRef"]["fieldPath"]
            found[one["name"]] = labels[path.split("'")[1]]
            continue
        found[one["name"]] = re.sub(
            r"\$\((\w+)\)",
            lambda name: found.get(name[1], name[0]),
            one["value"],
        )
    return found


def test_a_gang_is_an_indexed_job_of_which_kubernetes_makes_a_pod_group() -> None:
    made = spec(restarts={"gang_restarts": 3}, checkpoint={"bucket": "s3://a-b/c"})
    assert made["completionMode"] == "Indexed"
    assert made["completions"] == made["parallelism"] == 2
    assert made["podReplacementPolicy"] == "Failed"
    assert "suspend" not in made


def test_failures_are_counted_and_delayed_by_worker() -> None:
    """https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index"""
    made = spec(restarts={"gang_restarts": 3}, checkpoint={"bucket": "s3://a-b/c"})
    assert (made["backoffLimitPerIndex"], made["maxFailedIndexes"]) == (3, 0)
    # With a limit of all pods together the delay would be one of all, too.
    assert "backoffLimit" not in made
    assert made["template"]["spec"]["restartPolicy"] == "Never"
    assert spec()["backoffLimitPerIndex"] == 0


def test_the_template_starts_nothing_by_itself() -> None:
    template = manifest(job(), "CronJob")["spec"]
    assert template["suspend"] is True
    scheduled = manifest(job(schedule="15 2 * * *"), "CronJob")["spec"]
    assert (scheduled["suspend"], scheduled["schedule"]) == (False, "15 2 * * *")
    # Else a schedule that is new would start what was due before it.
    assert scheduled["startingDeadlineSeconds"] == 300


def test_workers_have_names_before_they_are_ready() -> None:
    made = job()
    service = manifest(made, "Service")
    assert service["spec"]["clusterIP"] == "None"
    # The engine would wait for pods, and there are none before a run.
    assert service["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert service["spec"]["publishNotReadyAddresses"] is True
    labels = manifest(made, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    selector = service["spec"]["selector"].items()
    assert selector <= labels["metadata"]["labels"].items()
    assert labels["spec"]["subdomain"] == service["metadata"]["name"] == NAME


def test_torch_meets_at_the_worker_of_index_0() -> None:
    found = variables(
        1,
        framework="torch",
        restarts={"worker_restarts": 10},
        checkpoint={"bucket": "s3://a-b/c"},
    )
    assert found["PET_MASTER_ADDR"] == f"{RUN}-0.{NAME}"
    assert (found["PET_NODE_RANK"], found["PET_NNODES"]) == ("1", "2")
    assert found["PET_RDZV_BACKEND"] == "static"
    assert found["PET_MAX_RESTARTS"] == "10"
    (worker,) = pod(framework="torch")["containers"]
    assert worker["command"] == ["torchrun", "--no-python", *JOB["command"]]


def test_tensorflow_is_given_the_cluster_and_its_place_in_it() -> None:
    found = json.loads(variables(1, framework="tensorflow")["TF_CONFIG"])
    assert found["task"] == {"type": "worker", "index": 1}
    assert found["cluster"]["worker"] == [f"{RUN}-{i}.{NAME}:2222" for i in (0, 1)]


def test_jax_is_told_whom_to_ask() -> None:
    found = variables(1, framework="jax")
    assert found["JAX_COORDINATOR_ADDRESS"] == f"{RUN}-0.{NAME}:1234"
    assert (found["JAX_NUM_PROCESSES"], found["JAX_PROCESS_ID"]) == ("2", "1")


def test_a_command_is_reported_of_its_gang_and_places() -> None:
    found = variables(
        1,
        data={"image": "employment"},
        checkpoint={"claim": "ckpt", "many_nodes": True, "every_seconds": 60},
        result={"bucket": "s3://a-b/c"},
        environment={"PRICE": "$(SLIPWAY_RUN)"},
        resources={"cpu_limit_millicores": 4500},
    )
    assert found["SLIPWAY_COORDINATOR"] == f"{RUN}-0.{NAME}"
    assert found["SLIPWAY_NODE_RANK"] == found["JOB_COMPLETION_INDEX"] == "1"
    assert found["SLIPWAY_DATA"] == "/data"
    assert found["SLIPWAY_CHECKPOINT"] == f"/checkpoint/{NAME}"
    assert found["SLIPWAY_CHECKPOINT_SECONDS"] == "60"
    assert found["SLIPWAY_RESULT"] == "s3://a-b/c"
    assert found["OMP_NUM_THREADS"] == "4"
    # Kubernetes makes one $ of two.
    assert found["PRICE"] == f"${RUN}"


@pytest.mark.parametrize("framework", ["torch", "tensorflow", "jax", "command"])
def test_every_variable_is_set_once(framework: str) -> None:
    (worker,) = pod(
        framework=framework,
        checkpoint={"bucket": "s3://a-b/c"},
        secrets={"tokens": {"variables": {"TOKEN": "token"}}},
    )["containers"]
    names = [one["name"] for one in worker["env"]]
    assert len(set(names)) == len(names)
    assert (
        set(names) - {"TOKEN"}
        <= TrainingJobArgs.model_validate(
            {**JOB, "image": f"a.example/b@sha256:{'0' * 64}", "framework": framework}
        ).own_variables
    )


def test_half_a_gang_ends_the_run_and_an_eviction_does_not() -> None:
    rules = spec()["podFailurePolicy"]["rules"]
    fails = [
        (one["onExitCodes"]["containerName"], one["onExitCodes"]["values"])
        for one in rules
        if one["action"] == "FailJob"
    ]
    assert fails == [("gang-wait", [75]), ("worker", [78])]
    (ignored,) = [one for one in rules if one["action"] == "Ignore"]
    assert ignored["onPodConditions"][0]["type"] == "DisruptionTarget"


def test_a_worker_that_ran_out_of_memory_ends_a_run_that_is_retried_with_more() -> None:
    """Its pod would run out of it again; an eviction kills too, and does not count."""
    rules = spec(retry_with={"most_memory_mib": 4096})["podFailurePolicy"]["rules"]
    *others, last = rules
    assert last["action"] == "FailJob"
    assert last["onExitCodes"]["values"] == [137]
    assert last["onExitCodes"]["containerName"] == "worker"
    assert others == spec()["podFailurePolicy"]["rules"]
    assert others[-1]["action"] == "Ignore"


def test_a_gang_waits_for_its_workers_and_one_worker_for_nobody() -> None:
    serve, wait = pod(start_timeout_seconds=90)["initContainers"]
    assert serve["restartPolicy"] == "Always"
    assert serve["command"][-2:] == ["serve", "29399"]
    words = ["wait", "29399", "90", "$(SLIPWAY_RUN)", NAME, "2"]
    assert wait["command"][-6:] == words
    script = manifest(job(), "ConfigMap")["data"]
    mounted = wait["volumeMounts"][0]["mountPath"]
    assert wait["command"][3] == f"{mounted}/{next(iter(script))}"
    alone = job(nodes=1)
    assert (
        "initContainers"
        not in manifest(alone, "CronJob")["spec"]["jobTemplate"]["spec"]["template"][
            "spec"
        ]
    )
    # A run from before, of more workers, may still have pods to come that mount it.
    assert manifest(alone, "ConfigMap")["data"] == script


def test_no_framework_listens_where_workers_wait() -> None:
    assert gang.PORT not in {*frameworks.PORTS.values(), TORCHRUN_C10D}


def test_workers_reach_each_other_and_nobody_else() -> None:
    policy = manifest(job(), "NetworkPolicy")["spec"]
    gang = {"podSelector": policy["podSelector"]}
    assert policy["ingress"] == [{"from": [gang]}]
    assert [rule["to"] for rule in policy["egress"]][1:] == [[gang]]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    names = policy["podSelector"]["matchLabels"]
    assert names["app.kubernetes.io/instance"] == NAME


def test_a_bucket_a_role_and_egress_open_what_they_need() -> None:
    made = job(
        data={"bucket": "s3://a-b/c"},
        service_account={"pod_identity": True},
        egress=[{"cidr": "10.20.0.0/16", "ports": [5432]}],
    )
    bucket, role, database = manifest(made, "NetworkPolicy")["spec"]["egress"][2:]
    assert bucket == {"ports": [{"port": 443, "protocol": "TCP"}]}
    assert role["to"] == [{"ipBlock": {"cidr": "169.254.170.23/32"}}]
    assert database["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]


def test_pods_are_restricted() -> None:
    assert pod_security.violations(pod(checkpoint={"bucket": "s3://a-b/c"})) == []


def test_gpus_and_adapters_are_asked_for_one_worker_a_node() -> None:
    types = {"instance_types": ["p5.48xlarge"], "worker_gpus": 8, "efa": True}
    made = pod(framework="torch", accelerator=types)
    (worker,) = made["containers"]
    for kind in ("requests", "limits"):
        asked = worker["resources"][kind]
        assert asked["nvidia.com/gpu"] == "8"
        assert asked["vpc.amazonaws.com/efa"] == "32"
        assert asked["hugepages-2Mi"] == "5120Mi"
    (apart,) = made["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    values = {one["name"]: one.get("value") for one in worker["env"]}
    assert values["PET_NPROC_PER_NODE"] == "8"
    assert made["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_kueue_gets_a_suspended_job_with_its_queue() -> None:
    made = manifest(job(gang="kueue", queue="team-a"), "CronJob")["spec"]
    template = made["jobTemplate"]
    assert template["spec"]["suspend"] is True
    assert template["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"


def test_a_claim_that_jobs_share_is_made_once_and_kept() -> None:
    place = {"claim": "shared", "size_gib": 5, "many_nodes": True}
    made = jobs(
        one={**JOB, "checkpoint": place}, two={**JOB, "result": {**place, "path": "m"}}
    )
    claim = manifest(made, "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert resource(made, "PersistentVolumeClaim").retain


def test_a_claim_of_others_is_not_made() -> None:
    made = job(checkpoint={"claim": "theirs", "many_nodes": True})
    kinds = {one["kind"] for one in made.manifests}
    assert "PersistentVolumeClaim" not in kinds


def test_other_settings_have_another_digest() -> None:
    def digest(**args: Any) -> str:
        found = manifest(job(**args), "CronJob")["metadata"]["annotations"]
        return str(found["slipway.dev/settings"])

    assert digest() == digest()
    assert digest() != digest(stop_seconds=31)


def test_adapters_are_not_promised_where_the_pool_has_none() -> None:
    pool = ReservedPool.model_validate(
        {
            "kind": "reserved",
            "instance_types": ["p5.48xlarge"],
            "min_nodes": 1,
            "max_nodes": 1,
            "content_gib": 100,
            "reservation": {
                "id": "cr-0123456789abcdef0",
                "instances": 1,
                "zone": "us-east-1a",
            },
        }
    )
    asked = Accelerator(
        instance_types=("p5.48xlarge",), pool="h100", worker_gpus=8, efa=True
    )
    (problem,) = pool_problems.gpu_problems("accelerator", asked, pool)
    assert problem.path == "accelerator.efa"


def test_few_restarts_are_refused_where_a_gang_is_restarted_alone() -> None:
    """Without other pods to outlast, torchrun needs none."""
    image = f"a.example/b@sha256:{'0' * 64}"
    place = {"bucket": "s3://a-b/c"}
    again = {"gang_restarts": 2}
    args = {**JOB, "image": image, "framework": "torch", "checkpoint": place}
    one = TrainingJobArgs.model_validate({**args, "nodes": 1, "restarts": again})
    assert list(job_problems.problems(one)) == []
