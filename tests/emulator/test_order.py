"""A run that fails halfway, and what the order of deletion rests on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.engine.results import EngineError
from tests.emulator.conftest import Life, begin
from tests.support.aws.world import settings, world

STACK = "cluster.dev"

# The SDK leaves its event loop open when a run fails.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder: Path = tmp_path_factory.mktemp("order")
    with world(STACK, folder, settings(STACK)) as stack:
        yield begin(stack)


STILL_IN_USE = (
    "DependencyViolation",
    "DeleteConflict",
    "ResourceInUseException",
    "ValidationException",
)
"""How AWS's services refuse to delete what something else still needs."""


def without_dependencies(state: dict[str, Any]) -> dict[str, Any]:
    """The engine's state, with nothing known of what rests on what."""
    for resource in state["deployment"]["resources"]:
        for key in ("dependencies", "propertyDependencies", "parent"):
            resource.pop(key, None)
    return state


def test_a_second_run_goes_on_where_the_first_failed(life: Life) -> None:
    failing = ["create of the system pool"]

    def fail(verb: str, urn: str) -> None:
        if failing and verb == "create" and "eks/nodeGroup:NodeGroup" in urn:
            raise ConnectionError(failing.pop())

    life.world.provider.before = fail
    with pytest.raises(EngineError, match="create of the system pool"):
        life.world.up()
    made = set(life.world.done("create"))
    assert len(made) > 30, "it failed before it did anything"
    life.world.up()
    assert len(life.world.done("create")) == len(set(life.world.done("create")))
    assert set(life.world.up().changes) == {"same"}


def test_without_its_dependencies_the_stack_cannot_be_deleted(life: Life) -> None:
    engine, stack = life.world.engine, life.world.stack
    session = engine._open(stack)
    session.replace_state(without_dependencies(session.state()))
    with pytest.raises(EngineError) as told:
        life.world.destroy()
    # Which of them is met first is chance: no order is left.
    assert any(refusal in str(told.value) for refusal in STILL_IN_USE)
