"""What the API server itself refuses."""

from __future__ import annotations

from tests.cluster.conftest import Cluster


def test_the_models_namespace_refuses_a_privileged_pod(cluster: Cluster) -> None:
    done = cluster.kube.run(
        *("run", "loose", "-n", "models", "--image=example.invalid/x", "--privileged"),
        check=False,
    )
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted' in done.stderr


def test_a_model_pod_holds_no_token_and_no_rights(cluster: Cluster) -> None:
    pod = cluster.kube.ready_pods("app.kubernetes.io/instance=employment")[0]
    assert pod["spec"]["automountServiceAccountToken"] is False
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    assert not [m for m in mounts if "serviceaccount" in m["mountPath"]]
    account = f"system:serviceaccount:models:{pod['spec']['serviceAccountName']}"
    answer = cluster.kube.run(
        *("auth", "can-i", "list", "pods", "-n", "models", "--as", account), check=False
    )
    assert answer.stdout.strip() == "no"
