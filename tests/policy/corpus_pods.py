"""For each rule about pods a workload that keeps it and one that does not."""

from __future__ import annotations

from tests.policy.corpus import (
    DIGEST,
    IMAGE,
    KEY_ID,
    NAME,
    SELECTOR,
    Case,
    changed,
    container_case,
    gpus,
    of,
    pod_case,
    secure,
    volumes,
    workload,
)

PODS = [
    container_case("images-by-digest", image="registry.example.com/server:1"),
    Case(
        "images-by-digest",
        workload("CronJob"),
        workload("CronJob", container={"image": "registry.example.com/server:1"}),
    ),
    Case(
        "image-volumes-by-digest",
        workload(pod=volumes({"name": "model", "image": {"reference": IMAGE}})),
        workload(pod=volumes({"name": "model", "image": {"reference": "a.b/c:1"}})),
    ),
    container_case("image-registries", image=f"other.example.com/server@{DIGEST}"),
    container_case(
        "image-registries", image=f"registry.example.com/team-b/server@{DIGEST}"
    ),
    Case(
        "image-registries",
        workload(pod=volumes({"name": "model", "image": {"reference": IMAGE}})),
        workload(
            pod=volumes(
                {
                    "name": "model",
                    "image": {"reference": f"other.example.com/m@{DIGEST}"},
                }
            )
        ),
    ),
    container_case("cpu-requests", resources={"requests": {"cpu": None}}),
    Case(
        "memory-requests",
        workload(container={"resources": {"requests": {"memory": None}}}),
        workload(
            container={
                "resources": {"requests": {"memory": None}, "limits": {"memory": None}}
            }
        ),
    ),
    container_case("memory-limits", resources={"limits": {"memory": None}}),
    Case(
        "memory-volumes-have-a-size",
        workload(
            pod=volumes(
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
            )
        ),
        workload(pod=volumes({"name": "shm", "emptyDir": {"medium": "Memory"}})),
    ),
    container_case("readiness-probes", readinessProbe=None),
    container_case("liveness-probes", "StatefulSet", livenessProbe=None),
    pod_case("no-service-account-token", automountServiceAccountToken=None),
    pod_case("own-service-account", "DaemonSet", serviceAccountName=None),
    Case(
        "no-secrets-in-environment",
        workload(
            container={
                "env": [
                    {"name": "API_TOKEN_FILE", "value": "/run/token"},
                    {"name": "MAX_TOKENS", "value": "128"},
                    {
                        "name": "API_KEY",
                        "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}},
                    },
                ]
            }
        ),
        workload(container={"env": [{"name": "DB_PASSWORD", "value": "not-a-real"}]}),
    ),
    Case(
        "no-secrets-in-arguments",
        workload(container={"args": ["--token-file=/run/token", "--max-tokens=9"]}),
        workload(container={"args": ["--api-key=not-a-real-one"]}),
    ),
    Case(
        "no-secrets-in-config-maps",
        of("ConfigMap", "v1", data={"a": "key: value"}),
        of("ConfigMap", "v1", data={"a": f"aws_access_key_id = {KEY_ID}"}),
    ),
    Case(
        "no-secrets-in-config-maps",
        of("ConfigMap", "v1"),
        of("ConfigMap", "v1", data={"tls": "-----BEGIN RSA PRIVATE KEY-----\nMII"}),
    ),
    Case(
        "no-default-namespace",
        of("ConfigMap", "v1"),
        changed(of("ConfigMap", "v1"), {"metadata": {"namespace": "default"}}),
    ),
    Case(
        "jobs-do-not-overlap",
        workload("CronJob"),
        workload("CronJob", spec={"concurrencyPolicy": None}),
    ),
    Case(
        "jobs-give-up",
        workload("Job"),
        workload("Job", spec={"activeDeadlineSeconds": None}),
    ),
    Case(
        "jobs-give-up",
        workload("CronJob"),
        workload(
            "CronJob", spec={"jobTemplate": {"spec": {"activeDeadlineSeconds": None}}}
        ),
    ),
]
HOST_PROCESS = {"windowsOptions": {"hostProcess": True}}
SECURITY = [
    pod_case("restricted-host-namespaces", hostPID=True),
    pod_case(
        "restricted-volumes",
        **volumes({"name": "host", "hostPath": {"path": "/var/lib"}}),
    ),
    pod_case(
        "restricted-sysctls",
        securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]},
    ),
    container_case("restricted-root", **secure(runAsUser=0)),
    pod_case("restricted-root", "StatefulSet", securityContext={"runAsNonRoot": None}),
    Case(
        "restricted-root",
        workload(
            pod={"securityContext": {"runAsNonRoot": None}},
            container=secure(runAsNonRoot=True),
        ),
        workload(container=secure(runAsNonRoot=False)),
    ),
    pod_case(
        "restricted-windows-host-process",
        hostNetwork=True,
        securityContext=HOST_PROCESS,
    ),
    container_case(
        "restricted-privileged",
        **secure(privileged=True, allowPrivilegeEscalation=None),
    ),
    container_case("restricted-escalation", **secure(allowPrivilegeEscalation=None)),
    container_case("restricted-capabilities", **secure(capabilities=None)),
    Case(
        "restricted-capabilities",
        workload(container=secure(capabilities={"add": ["NET_BIND_SERVICE"]})),
        workload(container=secure(capabilities={"add": ["NET_ADMIN"]})),
    ),
    pod_case("restricted-seccomp", securityContext={"seccompProfile": None}),
    Case(
        "restricted-proc-mount",
        workload(pod={"hostUsers": False}),
        workload(pod={"hostUsers": False}, container=secure(procMount="Unmasked")),
    ),
    Case(
        "restricted-host-ports",
        workload(container={"ports": [{"containerPort": 8080}]}),
        workload(container={"ports": [{"containerPort": 8080, "hostPort": 8080}]}),
    ),
    container_case(
        "restricted-probe-hosts",
        livenessProbe={"httpGet": {"host": "198.51.100.1"}},
    ),
    container_case("read-only-root", **secure(readOnlyRootFilesystem=None)),
]
BUDGET = {
    "maxUnavailable": 1,
    "selector": {"matchLabels": SELECTOR},
    "unhealthyPodEvictionPolicy": "AlwaysAllow",
}
PDB = of("PodDisruptionBudget", "policy/v1", spec=BUDGET)
HPA = of(
    "HorizontalPodAutoscaler",
    "autoscaling/v2",
    spec={
        "minReplicas": 2,
        "maxReplicas": 4,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
    },
)
AVAILABILITY = [
    container_case(
        "drain-within-grace", lifecycle={"preStop": {"sleep": {"seconds": 45}}}
    ),
    Case(
        "drain-within-grace",
        workload(pod={"terminationGracePeriodSeconds": None}),
        workload(
            container={"lifecycle": {"preStop": {"sleep": {"seconds": 30}}}},
            pod={"terminationGracePeriodSeconds": None},
        ),
    ),
    container_case("drain-before-the-end", lifecycle=None),
    Case(
        "drain-before-the-end",
        workload(
            container={"lifecycle": None},
            meta={"labels": {"app.kubernetes.io/name": "other"}},
        ),
        workload(container={"lifecycle": None}),
    ),
    pod_case("grace-is-bounded", terminationGracePeriodSeconds=7200),
    Case(
        "rollout-keeps-capacity",
        workload(spec={"replicas": 1, "strategy": {"type": "Recreate"}}),
        workload(spec={"strategy": {"type": "Recreate"}}),
    ),
    Case("rollout-gives-up", workload(), workload(spec={"minReadySeconds": None})),
    Case(
        "budget-lets-nodes-drain",
        PDB,
        changed(PDB, {"spec": {"maxUnavailable": 0}}),
    ),
    Case(
        "budget-lets-nodes-drain",
        changed(PDB, {"spec": {"maxUnavailable": None, "minAvailable": "50%"}}),
        changed(PDB, {"spec": {"maxUnavailable": None, "minAvailable": "100%"}}),
    ),
    Case(
        "budget-frees-broken-pods",
        PDB,
        changed(PDB, {"spec": {"unhealthyPodEvictionPolicy": None}}),
    ),
    Case(
        "servers-have-a-budget",
        workload(),
        workload(),
        good_related={"PodDisruptionBudget": [PDB]},
    ),
    pod_case("spread-over-hosts", topologySpreadConstraints=None),
    Case("two-replicas", HPA, changed(HPA, {"spec": {"minReplicas": None}})),
]
GPUS = [
    Case("gpu-count-fits-a-node", gpus("8"), gpus("9")),
    Case("gpu-pool-is-named", gpus("1"), gpus("1", nodeSelector=None)),
    Case("gpu-taint-is-tolerated", gpus("1"), gpus("1", tolerations=None)),
    Case(
        "gpu-nodes-are-for-gpus",
        gpus("1"),
        workload(
            pod={"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}
        ),
    ),
    Case("gpu-shared-memory", gpus("2"), gpus("2", volumes=None)),
]
WORKLOADS = [*PODS, *SECURITY, *AVAILABILITY, *GPUS]
