"""State that many use is not encrypted with one machine's own passphrase."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slipway.engine import workspace
from toolchain import paths
from toolchain.errors import WrongInputError

STACK = "models.shared"
BUCKET = "s3://states?region=eu-central-1"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in workspace.PASSPHRASE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "stacks" / "config").mkdir(parents=True)
    project = (paths.ROOT / "Pulumi.yaml").read_text()
    (tmp_path / "Pulumi.yaml").write_text(project)
    write(tmp_path)
    return tmp_path


def write(root: Path, **more: object) -> None:
    file = root / "stacks" / "config" / f"Pulumi.{STACK}.yaml"
    file.write_text(yaml.safe_dump({"config": {}, **more}))


@pytest.mark.parametrize("backend", [BUCKET, "gs://states", "azblob://states"])
def test_a_bucket_needs_a_key_that_others_have(
    root: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend)
    with pytest.raises(WrongInputError, match="only this machine has") as caught:
        workspace.prepare(STACK, root)
    assert "secretsprovider" in str(caught.value)
    assert not workspace.folder(STACK).joinpath("Pulumi.yaml").exists()


@pytest.mark.parametrize(
    "config",
    [
        {"slipway:production": True},
        {"slipway:production": "yes"},
        {"slipway:account": {"production": True}},
    ],
)
def test_production_needs_one_wherever_its_state_is(
    root: Path, config: dict[str, object]
) -> None:
    write(root, config=config)
    with pytest.raises(WrongInputError, match="production's state") as caught:
        workspace.prepare(STACK, root)
    assert "secretsprovider" in str(caught.value)
    write(root, config=config, secretsprovider="awskms://alias/slipway")
    workspace.prepare(STACK, root)


def test_a_key_of_the_cloud_or_a_shared_passphrase_will_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", BUCKET)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/run/secrets/passphrase")
    workspace.prepare(STACK, root)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE")
    key = {"secretsprovider": "awskms://alias/slipway?region=eu-central-1"}
    write(root, **key)
    workspace.prepare(STACK, root)
    # What the engine keeps in its own copy counts as well.
    write(root)
    workspace.prepare(STACK, root)


@pytest.mark.parametrize("backend", ["", "https://api.pulumi.com", "file:///srv/state"])
def test_a_folder_and_a_service_need_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend)
    workspace.prepare(STACK, root)
