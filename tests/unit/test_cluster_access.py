"""Where a stack's provider takes its cluster from."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.cluster_access import ClusterAccess, kubeconfig
from lab import paths
from tests.support import rendered as r


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


def test_without_a_choice_the_provider_finds_its_own() -> None:
    provider = r.resource(r.models(), "kubernetes")
    assert "kubeconfig" not in provider.inputs
    assert "context" not in provider.inputs
