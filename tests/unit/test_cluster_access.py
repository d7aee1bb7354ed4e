"""Where a stack's provider takes its cluster from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.cluster.existing.cluster_access import ClusterAccess, kubeconfig
from components.settings import SettingsError
from tests.support import rendered as r
from toolchain import paths


def test_the_ambient_cluster_is_left_to_the_provider() -> None:
    assert kubeconfig(ClusterAccess()) is None


def test_the_lab_has_its_kubeconfig_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = kubeconfig(ClusterAccess(kubeconfig="lab"))
    assert found == str(tmp_path / "slipway" / "labs" / "lab" / "kubeconfig")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("/etc/kube/config", "/etc/kube/config"),
        ("clusters/a.yaml", str(paths.ROOT / "clusters/a.yaml")),
        ("~/.kube/b", str(Path.home() / ".kube/b")),
    ],
)
def test_a_path_is_made_whole(given: str, wanted: str) -> None:
    assert kubeconfig(ClusterAccess(kubeconfig=given)) == wanted


def test_the_provider_is_told_file_and_context() -> None:
    access = {"kubeconfig": "/k", "context": "blue"}
    provider = r.resource(r.models(cluster=access), "kubernetes")
    assert provider.type == "pulumi:providers:kubernetes"
    assert provider.inputs["kubeconfig"] == "/k"
    assert provider.inputs["context"] == "blue"
    assert str(provider.inputs["enableServerSideApply"]).lower() == "true"


def test_a_stacks_cluster_is_reached_by_what_the_stack_says() -> None:
    role = "arn:aws:iam::111122223333:role/deployer"
    found = r.models(cluster={"stack": "cluster.test", "role": role})
    assert found.references == ["cluster.test"]
    content = json.loads(r.resource(found, "kubernetes").inputs["kubeconfig"])
    (cluster,) = content["clusters"]
    assert cluster["cluster"] == {
        "server": "(endpoint of the cluster)",
        "certificate-authority-data": "(certificate_authority of the cluster)",
    }
    (user,) = content["users"]
    assert user["user"]["exec"]["command"] == "aws"
    assert user["user"]["exec"]["args"] == [
        *("--region", "(region of the cluster)", "eks", "get-token"),
        *("--cluster-name", "(name of the cluster)", "--output", "json"),
        *("--role-arn", role),
    ]
    assert not any("of the cluster)" in text for text in found.files().values())


ROLE = "arn:aws:iam::111122223333:role/deployer"


@pytest.mark.parametrize(
    ("given", "path", "reason", "fix"),
    [
        (
            {"stack": "cluster.a", "kubeconfig": "lab"},
            "stack",
            "already given by kubeconfig",
            "remove kubeconfig or stack",
        ),
        (
            {"stack": "cluster.a", "terraform": {"path": "s3://bucket/key"}},
            "terraform",
            "already given by stack",
            "one source",
        ),
        ({"stack": "platform.a"}, "stack", "not a stack of the layer", "cluster.dev"),
        ({"stack": "cluster."}, "stack", "not a stack of the layer", "cluster.dev"),
        (
            {"stack": "cluster.a", "context": "b"},
            "context",
            "only a kubeconfig has contexts",
            "remove it",
        ),
        ({"role": ROLE}, "role", "a kubeconfig already", "exec"),
        ({"stack": "cluster.a", "role": "admin"}, "role", "not the ARN", "arn:aws:iam"),
    ],
)
def test_one_source_and_what_belongs_to_it(
    given: dict[str, Any], path: str, reason: str, fix: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        r.models(cluster=given)
    (problem,) = caught.value.problems
    assert problem.path == f"cluster.{path}"
    assert reason in problem.reason
    assert fix in problem.fix


def test_without_a_choice_the_provider_finds_its_own() -> None:
    provider = r.resource(r.models(), "kubernetes")
    assert "kubeconfig" not in provider.inputs
    assert "context" not in provider.inputs
