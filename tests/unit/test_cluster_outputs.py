"""What a cluster's stack says reaches the stacks above it, by the engine itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pulumi
import pytest
from rich.console import Console

from components.cluster.existing import cluster_access
from components.cluster.existing.outputs import (
    ClusterOutputs,
    MissingOutputError,
    placeholder,
    required,
)
from components.settings import SettingsError
from slipway.engine import workspace
from slipway.engine.engine import Engine
from toolchain import paths, programs

CLUSTER, MODELS = "cluster.tiny", "models.tiny"
MADE: dict[str, Any] = {
    field.name: {"a": "1"}
    if field.name in ("private_subnets", "repositories")
    else f"the {field.name}"
    for field in fields(ClusterOutputs)
}


class Part(pulumi.ComponentResource):
    """A resource that the engine keeps by itself, with the cluster's address in it."""

    def __init__(self, name: str, endpoint: pulumi.Input[str]) -> None:
        super().__init__("slipway:test:Part", name)
        self.register_outputs({"endpoint": endpoint})


def make_cluster() -> None:
    ClusterOutputs(**MADE).export()


def read_cluster() -> None:
    outputs = cluster_access.outputs(CLUSTER)
    Part("part", outputs.endpoint)
    for name in ClusterOutputs.names():
        pulumi.export(name, getattr(outputs, name))


@pytest.fixture(scope="module", autouse=True)
def cli() -> None:
    if programs.find("pulumi") is None:
        pytest.skip("Pulumi's CLI is neither on PATH nor here: `make up` gets it")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Engine]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable in ("PULUMI_BACKEND_URL", *workspace.PASSPHRASE_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    root = tmp_path / "checkout"
    folder = root / "stacks" / "config"
    folder.mkdir(parents=True)
    for stack in (CLUSTER, MODELS):
        (folder / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    (root / "Pulumi.yaml").write_text((paths.ROOT / "Pulumi.yaml").read_text())
    programs = {CLUSTER: make_cluster, MODELS: read_cluster}
    return lambda: Engine(Console(file=io.StringIO()), programs, root)


@pytest.mark.programs
def test_outputs_are_read_where_they_were_written(
    engine: Callable[[], Engine],
) -> None:
    with pytest.raises(SettingsError) as caught:
        engine().up(MODELS)
    (problem,) = caught.value.problems
    assert problem.path == "cluster.stack"
    assert problem.fix == f"create it first: slipway up {CLUSTER}"

    # Before there is a cluster a preview goes on, with what it says unknown.
    assert engine().preview(MODELS).changes == {"create": 2}

    assert engine().preview(CLUSTER).changes == {"create": 1}
    # The preview has left an empty stack behind, which is as good as none.
    assert engine().preview(MODELS).changes == {"create": 2}

    assert engine().up(CLUSTER).outputs == MADE
    assert engine().up(MODELS).outputs == MADE
    assert set(engine().preview(MODELS).changes) == {"same"}


def test_a_stack_that_got_half_way_is_reported() -> None:
    with pytest.raises(MissingOutputError, match=r"slipway up cluster\.dev"):
        required({"name": "dev"}, "endpoint", "cluster.dev")
    assert required({"name": "dev"}, "name", "cluster.dev") == "dev"


def test_placeholders_have_the_kind_of_what_they_stand_for() -> None:
    for name, value in MADE.items():
        assert type(placeholder(name)) is type(value)
