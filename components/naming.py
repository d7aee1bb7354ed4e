"""Names that layers share, and the labels of every object."""

from __future__ import annotations

from components.contracts import PORTS

GATEWAY_NAMESPACE = "slipway-gateway"
"""Envoy Gateway, its proxies and the Gateway object."""
MONITORING_NAMESPACE = "slipway-monitoring"
"""Prometheus, Alertmanager and the rules of every model."""
MODELS_NAMESPACE = "models"
"""Model servers, unless a stack says otherwise."""
GPU_NAMESPACE = "slipway-gpu"
"""The programs on GPU nodes: device plugin and metrics."""
KEDA_NAMESPACE = "slipway-keda"
"""The autoscaler of models by requests in flight."""
GATEWAY = "slipway"
"""The Gateway and its GatewayClass."""
GATEWAY_LISTENER = "http"
GATEWAY_TLS_LISTENER = "https"

MODEL_SERVER = "model-server"
"""app.kubernetes.io/name of every model server, whatever runs in it."""
MODEL_MONITOR = "model-monitor"
"""Monitors quality, drift and fairness of the models, in their namespace."""
MODEL_MONITOR_PORT = PORTS["model_monitor"]["http"]
MODEL_MONITOR_LABELS_PORT = PORTS["model_monitor"]["labels"]
"""Service that accepts labels only, so that many clients may reach it."""
MODEL_ATTRIBUTIONS = "model-attributions"
"""The daily job that calculates what predictions depend on."""
MODEL_CONSOLE = "model-console"
"""Web pages of the monitor's and Alertmanager's data, next to the monitor."""
MODEL_CONSOLE_PORT = PORTS["model_console"]["http"]
ALERTMANAGER = "alertmanager"
POLICY_AGENT_PORT = PORTS["policy_agent"]["http"]
"""Metrics of our enforcement of network policies, on the hosts' network."""
TRAINING_JOB = "training-job"
"""app.kubernetes.io/name of all that belongs to a training job."""
PREEMPTIBLE = "slipway-preemptible"
"""PriorityClass of training jobs that lend their GPUs; the platform makes it."""
SPARK_JOB = "spark-job"
"""app.kubernetes.io/name of all that belongs to a Spark job."""
HDFS = "hdfs"
"""app.kubernetes.io/name of HDFS's servers, followed by their role."""
ROLLOUT_CONTROLLER = "rollout-controller"
"""Changes the weights of revisions, in the models' namespace."""
ROLLOUT_CONTROLLER_PORT = PORTS["rollout"]["http"]
TRAFFIC = "traffic"
"""app.kubernetes.io/component of the HTTPRoutes that it writes."""
WAKER = "waker"
"""Holds the requests of models at zero replicas, in the models' namespace."""
WAKER_MANAGER = "waker.slipway.dev"
"""Manager name in the waker's EndpointSlices (images/waker)."""

KARPENTER = "karpenter"
"""The autoscaler of nodes: its Deployment and its service account."""
KARPENTER_NAMESPACE = "kube-system"
"""Namespace by its publisher's advice, because the API server prioritizes it.
https://karpenter.sh/docs/getting-started/getting-started-with-karpenter"""

ROUTES_LABEL = "slipway.dev/routes"
"""On a namespace, "true": its HTTPRoutes may attach to the Gateway."""
POOL_LABEL = "slipway.dev/pool"
"""On a node: the name of the pool that it belongs to."""
REVISION_LABEL = "slipway.dev/revision"
"""On what belongs to one revision of a model: the revision's name."""
STACK_LABEL = "slipway.dev/stack"
"""On every object: the stack that made it, and whose destroy deletes it."""
HDFS_LABEL = "slipway.dev/hdfs"
"""On a pod: the HDFS of its namespace whose servers it may connect to."""
SETTINGS_ANNOTATION = "slipway.dev/settings"
"""On the template of a job's runs: a digest of the job's settings."""
EVICTABLE_ANNOTATION = "slipway.dev/evictable-jobs"
"""On a rollout's ConfigMap: JSON of the training jobs that it may evict."""
RULES_LABEL = "slipway.dev/prometheus-rules"
"""On a ConfigMap in the monitoring namespace, "true": Prometheus loads its files."""

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
"""Annotation of what is ready only once somebody uses it: the engine does not wait.
https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/"""

SERVICE_WAIT = {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}
"""Annotation of a Service: the engine waits for its address only.

By itself it waits for endpoints too, and then 10 s more for them to settle. Pods are
often made after their Service, and the engine waits for those by their workload.
"""

PART_OF = "slipway"
MANAGED_BY = "pulumi"
_LABEL = "app.kubernetes.io"


def labels(
    name: str, *, instance: str | None = None, component: str, version: str = ""
) -> dict[str, str]:
    """The common labels of an object.

    `name` is the program (`model-server`), `instance` which of its kind
    (`employment`; default: the name), `component` its role (`server`).
    https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
    """
    found = {
        **selector(name, instance=instance),
        f"{_LABEL}/component": component,
        f"{_LABEL}/part-of": PART_OF,
        f"{_LABEL}/managed-by": MANAGED_BY,
    }
    if version:
        found[f"{_LABEL}/version"] = version
    return found


def selector(name: str, *, instance: str | None = None) -> dict[str, str]:
    """The labels that pods are selected by: those that never change."""
    return {f"{_LABEL}/name": name, f"{_LABEL}/instance": instance or name}


def scrape_annotations(port: int, path: str = "/metrics") -> dict[str, str]:
    """Return the annotations with which Prometheus scrapes a pod, in any namespace."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": path,
    }
