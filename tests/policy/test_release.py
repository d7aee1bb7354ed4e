"""A release: the same bytes again, signed, and of use where there is no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import empty_pb2

from devtools.release import __main__ as release
from devtools.release import collection, materials, signing, sources
from slipway.ledger import keys
from tests.policy.test_model_card import errors
from tests.support import component_provider, installed, policy_packs
from tests.support.installed import Installed
from toolchain import paths
from toolchain.errors import OperatorError, WrongInputError

VERSION = "0.1.0"
EPOCH = 1_750_000_000
DIGEST = "sha256:" + "1" * 64
IMAGE = f"registry.example/slipway/model-server@{DIGEST}"
MODEL = f"registry.example/models/employment@{DIGEST}"
PROJECT = "name: theirs\nruntime: python\nstackConfigDir: stacks/config\n"
STACK = f"""
config:
  slipway:models:
    employment:
      image: {IMAGE}
      model_image: {MODEL}
      route: {{prefix: /employment/v1}}
"""
OWN_RULE = {
    **dict.fromkeys(("message", "why", "fix"), "text"),
    "severity": "error",
    "expression": "[]",
    "since": "2026-11-30",
}
PROGRAM = f"""
import pulumi
import pulumi_kubernetes as kubernetes

from components.serving.args.model_server_args import ModelServerArgs
from components.serving.model_server import ModelServer
from helper import NAME

kubernetes.core.v1.Namespace("ours", metadata={{"name": "ours"}})
args = ModelServerArgs(image="{IMAGE}", model_image="{MODEL}")
pulumi.export("service", ModelServer(NAME, args).service)
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("key") / "release.pem"
    keys.make(made)
    return made


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    sources.copy(paths.ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def made(checkout: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("release") / "dist"
    release.make(checkout, out, key, EPOCH)
    return out


@pytest.fixture(scope="module")
def theirs(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    (wheel,) = made.glob("*.whl")
    return installed.install(wheel, tmp_path_factory.mktemp("theirs") / "venv")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's own project with a stack file and a program of two files."""
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "stacks" / "config").mkdir(parents=True)
    (tmp_path / "stacks" / "config" / "Pulumi.models.mine.yaml").write_text(STACK)
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text('NAME = "census"\n')
    return tmp_path


def test_a_release_is_complete(made: Path) -> None:
    assert {it.name for it in made.iterdir()} == {
        f"slipway-{VERSION}-py3-none-any.whl",
        f"slipway-{VERSION}.tar.gz",
        f"slipway-{VERSION}.cdx.json",
        f"slipway-hosts-{VERSION}.tar.gz",
        signing.SUMS,
        signing.SIGNATURE,
        signing.PUBLIC_KEY,
    }


def test_a_second_run_gives_the_same_bytes(
    checkout: Path, made: Path, key: Path, tmp_path: Path
) -> None:
    """At another time, in another folder, by somebody with another umask."""
    again, elsewhere = tmp_path / "again", tmp_path / "elsewhere"
    shutil.copytree(checkout, elsewhere)
    for file in elsewhere.rglob("*"):
        file.chmod(file.stat().st_mode & 0o700)
        os.utime(file, (EPOCH + 9, EPOCH + 9))
    before = os.umask(0o077)
    try:
        release.make(elsewhere, again, key, EPOCH)
    finally:
        os.umask(before)
    for file in sorted(made.iterdir()):
        assert (again / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_folder_that_holds_no_release_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    file.touch()
    with pytest.raises(WrongInputError, match=r"SHA256SUMS.*nothing was deleted"):
        release.make(tmp_path, tmp_path, None, EPOCH)
    assert file.exists()


def test_anybody_can_check_sums_and_signature(made: Path, tmp_path: Path) -> None:
    subprocess.run(["sha256sum", "--check", signing.SUMS], cwd=made, check=True)
    verify = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin"]
    verify += ["-inkey", signing.PUBLIC_KEY, "-sigfile", signing.SIGNATURE, "-in"]
    subprocess.run([*verify, signing.SUMS], cwd=made, check=True)
    other = tmp_path / signing.SUMS
    other.write_text((made / signing.SUMS).read_text().replace("a", "b", 1))
    done = subprocess.run([*verify, other], cwd=made, check=False)
    assert done.returncode != 0


def test_changes_that_no_commit_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", checkout], check=True)
    (checkout / "new.txt").write_text("new")
    monkeypatch.setattr(paths, "ROOT", checkout)
    with pytest.raises(WrongInputError, match=r"1 files are not .*such as new\.txt"):
        release.of_checkout(tmp_path / "out", None, working_tree=False)


def test_the_bill_has_what_is_shipped_and_is_valid(checkout: Path, made: Path) -> None:
    text = (made / f"slipway-{VERSION}.cdx.json").read_text()
    assert errors({"bill": text}) == {"bill": None}
    bill: dict[str, Any] = json.loads(text)
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("slipway", VERSION)
    names = {it["name"].lower() for it in bill["components"]}
    assert {"pulumi", "pydantic", "cryptography", "ansible-core", "grpcio"} <= names
    assert names.isdisjoint({"mypy", "ruff", "hypothesis", "django"})
    refs = {it["bom-ref"] for it in bill["components"]} | {root["bom-ref"]}
    edges = {it["ref"]: it["dependsOn"] for it in bill["dependencies"]}
    assert set(edges) == refs
    assert {it for needs in edges.values() for it in needs} <= refs
    assert len(edges[root["bom-ref"]]) == len(
        materials.asked_for(checkout / "pyproject.toml")
    )


def test_a_bill_that_is_not_valid_is_refused(made: Path, tmp_path: Path) -> None:
    bill = json.loads((made / f"slipway-{VERSION}.cdx.json").read_text())
    wrong = tmp_path / "wrong.cdx.json"
    wrong.write_text(json.dumps(bill | {"components": [{"name": "a"}]}))
    with pytest.raises(OperatorError, match="'type' is a required property"):
        materials.check(wrong)


def test_the_wheel_has_its_data_and_no_tests(theirs: Installed) -> None:
    tree = theirs.site / "slipway_tree"
    for there in (
        "contracts/prediction_record.yaml",
        "components/catalog/data",
        "images/images.toml",
        "playbooks/roles/kubelet/tasks/main.yml",
        "policies/PulumiPolicy.yaml",
        "slipway/provider/PulumiPlugin.yaml",
        "toolchain/binaries/groups.toml",
    ):
        assert (tree / there).exists(), there
    for absent in ("tests", "docs", "devtools", "pyproject.toml", "Pulumi.yaml"):
        assert not (tree / absent).exists(), absent
    names = {it.name for it in theirs.site.iterdir()}
    ours = {f"slipway-{VERSION}.dist-info", "slipway.pth", "slipway_tree"}
    assert names == {*ours, "dependencies.pth"}


def test_their_stack_is_rendered(theirs: Installed, project: Path) -> None:
    theirs.run("render", "models.mine", "--out", "rendered", cwd=project)
    found = {it.name for it in (project / "rendered" / "models.mine").iterdir()}
    assert "07-deployment.models.employment.yaml" in found
    assert f"slipway              {VERSION}\n" in theirs.run("version", cwd=project)


def test_their_program_with_our_component_is_rendered(
    theirs: Installed, project: Path
) -> None:
    words = ("render", "models.mine", "--program", "__main__.py", "--out", "rendered")
    theirs.run(*words, cwd=project)
    found = {it.name for it in (project / "rendered" / "models.mine").iterdir()}
    assert {"00-namespace.ours.yaml", "07-deployment.models.census.yaml"} <= found


def test_costs_and_schemas_come_from_the_wheels_data(
    theirs: Installed, tmp_path: Path
) -> None:
    assert json.loads(theirs.run("schema", "models", cwd=tmp_path))["title"]
    assert "g6" in theirs.run("catalog", "list", cwd=tmp_path)


def test_other_languages_start_the_installed_provider(theirs: Installed) -> None:
    program = theirs.program("pulumi-resource-slipway")
    with component_provider.running(program) as provider:
        given = {"image": IMAGE, "model_image": MODEL}
        answer = provider.construct("slipway:serving:ModelServer", "census", given)
    assert answer.state["service"] == "census"


def test_pulumis_cli_starts_the_installed_policy_pack(
    theirs: Installed, project: Path
) -> None:
    (project / "policies").mkdir()
    own = {"rules": {"of-theirs": {**OWN_RULE, "kinds": ["Deployment"]}}}
    (project / "policies" / "own.yaml").write_text(json.dumps(own))
    program = theirs.program(policy_packs.PROGRAM)
    with policy_packs.running(program, cwd=project) as pack:
        names = {it.name for it in pack.GetAnalyzerInfo(empty_pb2.Empty()).policies}
    assert {"images-by-digest", "of-theirs"} <= names


@pytest.fixture(scope="module")
def galaxy(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of Ansible's programs that see the installed collection."""
    home = tmp_path_factory.mktemp("collections")
    archive = made / f"slipway-hosts-{VERSION}.tar.gz"
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(home / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(home),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    install = ("collection", "install", "--offline", "-p", str(home), str(archive))
    ansible("ansible-galaxy", *install, environment=environment)
    return environment


def ansible(program: str, *words: str | Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def roles() -> list[str]:
    return sorted(it.name for it in (paths.ROOT / "playbooks" / "roles").iterdir())


def test_every_role_has_a_full_name(galaxy: dict[str, str], tmp_path: Path) -> None:
    playbook = tmp_path / "theirs.yml"
    names = [f"slipway.hosts.{role}" for role in roles()]
    plays = [{"hosts": "localhost", "gather_facts": False, "roles": names}]
    playbook.write_text(json.dumps(plays))
    ansible("ansible-playbook", "--syntax-check", playbook, environment=galaxy)


def test_the_collections_playbooks_find_its_roles(galaxy: dict[str, str]) -> None:
    inventory = paths.ROOT / "playbooks" / "inventory" / "example"
    asked = [f"slipway.hosts.{it.removesuffix('.yml')}" for it in collection.PLAYBOOKS]
    words = ("-i", inventory, "--list-tasks", *asked)
    shown = ansible("ansible-playbook", *words, environment=galaxy)
    _, *found = shown.split("\nplaybook: ")
    names = [Path(it.partition("\n")[0]).name for it in found]
    assert names == list(collection.PLAYBOOKS)
    assert all("slipway.hosts." in it.partition("tasks:")[2] for it in found)


def test_filters_of_roles_work_in_the_collection(
    galaxy: dict[str, str], tmp_path: Path
) -> None:
    home = Path(galaxy["ANSIBLE_COLLECTIONS_PATH"])
    role = (
        home / "ansible_collections" / "slipway" / "hosts" / "roles" / "control_plane"
    )
    used = (role / "templates" / "service.j2").read_text()
    assert "| slipway.hosts.kubernetes_text " in used
    asked = "{{ {'cpu': 1} | slipway.hosts.kubernetes_texts | to_json }}"
    out = tmp_path / "out"
    given = json.dumps({"content": asked, "dest": str(out)})
    words = ("localhost", "-m", "ansible.builtin.copy", "-a", given)
    ansible("ansible", *words, environment=galaxy)
    assert json.loads(out.read_text()) == {"cpu": "1"}
