"""Clusters found in Terraform's state, and what is said of states that cannot serve."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.cluster.existing import terraform_state
from components.cluster.existing.terraform_state import TerraformStateError
from components.settings import SettingsError
from slipway.rendering import render
from tests.support import rendered as r

CA = "LS0tLS1CRUdJTg=="
ATTRIBUTES = {
    "name": "prod",
    "arn": "arn:aws:eks:eu-central-1:111122223333:cluster/prod",
    "endpoint": "https://ABC.gr7.eu-central-1.eks.amazonaws.com",
    "certificate_authority": [{"data": CA}],
}
STATE: dict[str, Any] = {
    "version": 4,
    "terraform_version": "1.11.4",
    "serial": 7,
    "lineage": "dd62fa0f-c656-f2e6-1ec0-eb24349ce245",
    "outputs": {
        "cluster_name": {"value": "prod", "type": "string"},
        "password": {"value": "hush", "type": "string", "sensitive": True},
        "zones": {"value": ["a"], "type": ["list", "string"]},
    },
    "resources": [
        {
            "module": "module.eks",
            "mode": "managed",
            "type": "aws_eks_cluster",
            "name": "this",
            "instances": [{"index_key": 0, "attributes": ATTRIBUTES}],
        }
    ],
}
PLAIN = """
resource "terraform_data" "anything" { input = "hello" }
output "cluster_name" { value = "made" }
output "region" { value = "eu-west-1" }
output "cluster_endpoint" { value = "https://made.example" }
output "cluster_certificate_authority_data" {
  value     = "LS0tLS1CRUdJTg=="
  sensitive = true
}
"""

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: Any, name: str = "terraform.tfstate") -> str:
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(file)

    return to_file


def provider(**terraform: Any) -> dict[str, Any]:
    """Inputs of the provider of a stack whose cluster Terraform made."""
    config = {"cluster": {"terraform": terraform}, "models": {"m": r.EMPLOYMENT}}
    found = render.render("models.test", config, images=r.IMAGES, look_up=True)
    return r.resource(found, "kubernetes").inputs


def refusal(**terraform: Any) -> tuple[str, str, str]:
    """Path, reason and fix of the only problem."""
    with pytest.raises(SettingsError) as caught:
        provider(**terraform)
    (problem,) = caught.value.problems
    return problem.path, problem.reason, problem.fix


def user_arguments(inputs: dict[str, Any]) -> list[str]:
    found: list[str] = json.loads(inputs["kubeconfig"])["users"][0]["user"]["exec"][
        "args"
    ]
    return found


def test_the_cluster_is_found_by_its_resource(write: Write) -> None:
    inputs = provider(path=write(STATE))
    kubeconfig = json.loads(inputs["kubeconfig"])
    assert kubeconfig["clusters"] == [
        {
            "name": "prod",
            "cluster": {
                "server": ATTRIBUTES["endpoint"],
                "certificate-authority-data": CA,
            },
        }
    ]
    arguments = user_arguments(inputs)
    assert arguments[:4] == ["--region", "eu-central-1", "eks", "get-token"]
    assert arguments[4:6] == ["--cluster-name", "prod"]


def test_terraforms_own_state_is_read(tmp_path: Path) -> None:
    """Written by the real program; nothing but its built-in provider is needed."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH, so that no state of its own can be made")
    (tmp_path / "main.tf").write_text(PLAIN)
    for arguments in (["init", "-input=false"], ["apply", "-auto-approve"]):
        subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=120,
        )
    state = tmp_path / "terraform.tfstate"
    assert json.loads(state.read_text())["terraform_version"]
    config: dict[str, Any] = {"path": str(state), "outputs": {}}
    inputs = provider(**config)
    (cluster,) = json.loads(inputs["kubeconfig"])["clusters"]
    assert cluster["cluster"]["server"] == "https://made.example"
    assert user_arguments(inputs)[1] == "eu-west-1"
    _path, reason, fix = refusal(path=str(state))
    assert "no aws_eks_cluster" in reason
    assert "terraform.outputs" in fix


KEYS = [
    *("blue", "", "a b", "ä", 'quo"te', "back\\slash", "line\nfeed", "tab\t", "c\r"),
    *("${x}", "$${x}", "%{x}", "$", "100%", "\x01", "\u200b", "\U0001f600", "a.b[0]"),
]
"""Keys of for_each that need more than quotes, or seem to."""
EACH = """
variable "keys" { type = set(string) }
resource "terraform_data" "each" {
  for_each = var.keys
  input    = each.key
}
resource "terraform_data" "counted" { count = 2 }
"""


def as_clusters(state: dict[str, Any]) -> dict[str, Any]:
    """The real state with EKS clusters in place of its own resources."""
    for resource in state["resources"]:
        resource["type"] = "aws_eks_cluster"
        for number, instance in enumerate(resource["instances"]):
            arn = f"{ATTRIBUTES['arn']}-{resource['name']}-{number}"
            instance["attributes"] = {**ATTRIBUTES, "arn": arn}
            instance["sensitive_attributes"] = []
    return state


def test_addresses_are_those_that_terraform_writes(
    tmp_path: Path, write: Write
) -> None:
    """Keys of every kind, and a tainted instance, by the real program."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH, so that its own addresses are not known")

    def terraform(*arguments: str) -> str:
        return subprocess.run(
            ["terraform", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout

    (tmp_path / "main.tf").write_text(EACH)
    (tmp_path / "terraform.tfvars.json").write_text(json.dumps({"keys": KEYS}))
    terraform("init", "-input=false", "-no-color")
    terraform("apply", "-auto-approve", "-no-color")
    terraform("taint", "-no-color", "terraform_data.counted[1]")
    wanted = terraform("state", "list").replace("terraform_data.", "aws_eks_cluster.")
    raw = json.loads((tmp_path / "terraform.tfstate").read_text())
    state = terraform_state.parse(json.dumps(as_clusters(raw)).encode())
    assert set(state.clusters) == set(wanted.splitlines())
    assert state.tainted == {"aws_eks_cluster.counted[1]"}


def with_instances(*instances: dict[str, Any]) -> dict[str, Any]:
    state = copy.deepcopy(STATE)
    state["resources"][0]["instances"] = list(instances)
    return state


OLD = {
    "deposed": "6ab1cc8a",
    "attributes": {**ATTRIBUTES, "name": "old", "arn": f"{ATTRIBUTES['arn']}-old"},
}
CURRENT = {"attributes": ATTRIBUTES}
ADDRESS = "module.eks.aws_eks_cluster.this"


@pytest.mark.parametrize("instances", [(CURRENT, OLD), (OLD, CURRENT)])
def test_a_deposed_cluster_is_not_the_current_one(
    instances: tuple[dict[str, Any], ...], write: Write
) -> None:
    path = write(with_instances(*instances))
    assert user_arguments(provider(path=path))[5] == "prod"
    assert user_arguments(provider(path=path, address=ADDRESS))[5] == "prod"


@pytest.mark.parametrize("address", [None, ADDRESS])
def test_only_a_deposed_cluster_is_left(address: str | None, write: Write) -> None:
    _, reason, fix = refusal(path=write(with_instances(OLD)), address=address)
    assert reason.startswith(f"{ADDRESS} has only a deposed cluster")
    assert "terraform apply" in fix


def test_a_tainted_cluster_is_used_and_said_to_be(write: Write) -> None:
    path = write(with_instances({**CURRENT, "status": "tainted"}))
    config = {"cluster": {"terraform": {"path": path}}, "models": {"m": r.EMPLOYMENT}}
    found = render.render("models.test", config, images=r.IMAGES, look_up=True)
    assert user_arguments(r.resource(found, "kubernetes").inputs)[5] == "prod"
    (warning,) = [text for text in found.messages if "tainted" in text]
    assert f"{ADDRESS} in {path} is tainted: the next `terraform apply`" in warning
    good = {**config, "cluster": {"terraform": {"path": write(STATE)}}}
    quiet = render.render("models.test", good, images=r.IMAGES, look_up=True)
    assert not [text for text in quiet.messages if "tainted" in text]


def test_a_resource_and_its_data_source_are_one_cluster(write: Write) -> None:
    state = copy.deepcopy(STATE)
    seen = {**ATTRIBUTES, "endpoint": "https://before.example"}
    data = {"mode": "data", "type": "aws_eks_cluster", "name": "seen"}
    state["resources"].insert(0, {**data, "instances": [{"attributes": seen}]})
    path = write(state)
    kubeconfig = json.loads(provider(path=path)["kubeconfig"])
    assert kubeconfig["clusters"][0]["cluster"]["server"] == ATTRIBUTES["endpoint"]
    chosen = provider(path=path, address="data.aws_eks_cluster.seen")
    cluster = json.loads(chosen["kubeconfig"])["clusters"][0]["cluster"]
    assert cluster["server"] == "https://before.example"
    other = {**seen, "arn": f"{ATTRIBUTES['arn']}-2"}
    state["resources"][0]["instances"][0]["attributes"] = other
    state["resources"][1]["instances"][0]["status"] = "tainted"
    assert refusal(path=write(state))[1] == (
        "there are several EKS clusters in the state: data.aws_eks_cluster.seen, "
        "module.eks.aws_eks_cluster.this[0] (tainted)"
    )


def test_what_the_state_calls_sensitive_stays_secret(write: Write) -> None:
    state = copy.deepcopy(STATE)
    state["outputs"]["cluster_name"]["sensitive"] = True
    for name, output in (("region", "region"), ("endpoint", "cluster_endpoint")):
        state["outputs"][output] = {"value": name, "type": "string"}
    ca = "cluster_certificate_authority_data"
    state["outputs"][ca] = {"value": CA, "type": "string"}
    config = {
        "cluster": {"terraform": {"path": write(state), "outputs": {}}},
        "models": {"m": r.EMPLOYMENT},
    }
    found = render.render("models.test", config, images=r.IMAGES, look_up=True)
    assert r.resource(found, "kubernetes").has_secrets


def test_nothing_is_read_in_a_rendering() -> None:
    config = {
        "cluster": {"terraform": {"path": "s3://bucket/key"}},
        "models": {"m": r.EMPLOYMENT},
    }
    found = render.render("models.test", config, images=r.IMAGES)
    assert (
        "(endpoint of the cluster)"
        in r.resource(found, "kubernetes").inputs["kubeconfig"]
    )


def test_one_of_several_is_chosen_by_its_address(write: Write) -> None:
    state = copy.deepcopy(STATE)
    blue = {**ATTRIBUTES, "name": "blue"}
    state["resources"].append(
        {
            "mode": "managed",
            "type": "aws_eks_cluster",
            "name": "all",
            "instances": [{"index_key": "blue", "attributes": blue}],
        }
    )
    path = write(state)
    assert refusal(path=path)[1:] == (
        (
            'there are several EKS clusters in the state: aws_eks_cluster.all["blue"], '
            "module.eks.aws_eks_cluster.this[0]"
        ),
        "set terraform.address to one of them",
    )
    chosen = provider(path=path, address='aws_eks_cluster.all["blue"]')
    assert user_arguments(chosen)[5] == "blue"
    _, reason, fix = refusal(path=path, address="module.eks.aws_eks_cluster.this")
    assert "there is no module.eks.aws_eks_cluster.this in" in reason
    assert "did you mean module.eks.aws_eks_cluster.this[0]?" in fix


@pytest.mark.parametrize(
    ("content", "reason", "fix"),
    [
        ({**STATE, "version": 3}, "version 3, and only 4", "Terraform 0.12"),
        ({**STATE, "version": 5}, "version 5, and only 4", "kubeconfig"),
        ({"serial": 1}, "no version", "terraform.tfstate"),
        (json.dumps(STATE)[:-40], "cut off", "terraform state pull"),
        ("", "cut off", "terraform state pull"),
        ("[]", "not a state", "terraform.tfstate"),
        ("PK\x03\x04", "saved plan", "give the state"),
        ({"version": 4, "serial": 3}, "lacks outputs and resources", "state pull"),
        (
            {"encrypted_data": "secret", "encryption_version": "v0", "serial": 1},
            "OpenTofu encrypted it",
            "tofu state pull",
        ),
        (
            {
                "version": 3,
                "backend": {"type": "s3", "config": {"bucket": "b-1", "key": "k/s"}},
            },
            "backend s3",
            "give s3://b-1/k/s",
        ),
        ({"format_version": "1.0", "values": {}}, "terraform show", "state pull"),
        ({**STATE, "resources": []}, "no aws_eks_cluster", "terraform.outputs"),
    ],
)
def test_a_state_that_cannot_serve(
    content: Any, reason: str, fix: str, write: Write
) -> None:
    path, said_reason, said_fix = refusal(path=write(content))
    assert path == "cluster.terraform.path"
    assert reason in said_reason
    assert fix in said_fix


def test_a_backup_and_a_missing_file_are_distinguished(
    write: Write, tmp_path: Path
) -> None:
    backup = write(STATE, "terraform.tfstate.backup")
    assert refusal(path=backup)[1:] == (
        "it is Terraform's backup: the state before the last change",
        "give terraform.tfstate",
    )
    assert refusal(path=str(tmp_path / "none"))[1] == "there is no such file"


def test_a_cluster_that_was_not_finished(write: Write) -> None:
    state = copy.deepcopy(STATE)
    state["resources"][0]["instances"][0]["attributes"] = {"name": "prod"}
    _, reason, fix = refusal(path=write(state))
    assert reason == "the EKS cluster in the state has no arn"
    assert "terraform apply" in fix


@pytest.mark.parametrize("name", ["cluster_nam", "zones"])
def test_an_output_that_is_not_there_or_no_text(name: str, write: Write) -> None:
    path = write(STATE)
    _, reason, fix = refusal(path=path, outputs={"name": name})
    assert name in reason
    assert ("did you mean cluster_name?" in fix) == (name == "cluster_nam")


def test_values_are_never_told(write: Write) -> None:
    state = copy.deepcopy(STATE)
    with pytest.raises(SettingsError) as caught:
        provider(path=write(state), outputs={"name": "passwor"})
    assert "did you mean password?" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(terraform_state.parse(json.dumps(STATE).encode()))


def test_a_state_too_large_is_not_read(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terraform_state, "LARGEST_BYTES", 10)
    with pytest.raises(TerraformStateError, match="larger than"):
        terraform_state.load(write(STATE))
