"""Stacks made by the real engine in an emulated AWS account, each in its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.cluster.settings import ClusterSettings
from components.settings import parse
from slipway.engine import pulumi_cli
from slipway.engine.results import StackResult
from tests.support.aws import sweep
from tests.support.aws.account import Account
from tests.support.aws.world import World, settings, world

STACKS = ("cluster.dev", "cluster.prod")


@pytest.fixture(scope="session", autouse=True)
def cli() -> None:
    """The engine itself is needed; it is built, in minutes, on a machine without it."""
    try:
        pulumi_cli.find()
    except pulumi_cli.PulumiCliError as error:
        pytest.skip(f"no engine: {error}")


@dataclass
class Life:
    """A stack from its first `up` on."""

    world: World
    before: dict[str, list[str]]
    """What the account had before."""
    first: StackResult | None = None
    """What the first `up` did."""

    @property
    def account(self) -> Account:
        return self.world.account

    @property
    def settings(self) -> ClusterSettings:
        """The settings as the program reads them, now."""
        return parse(ClusterSettings, self.world.settings, "the stack's file")

    def left(self) -> dict[str, Any]:
        """What the account has that it did not have before."""
        return sweep.beside(self.before, sweep.everything(self.account))


def given_roles(chosen: ClusterSettings) -> list[str]:
    """Roles that the settings name and the stack does not make: people's."""
    return [*chosen.cluster.administrators, *chosen.cluster.viewers]


def begin(stack: World) -> Life:
    """The account as it is before: with the roles that the settings only name."""
    life = Life(stack, {})
    iam = life.account.client("iam")
    for arn in given_roles(life.settings):
        iam.create_role(RoleName=arn.rpartition("/")[2], AssumeRolePolicyDocument="{}")
    life.before = sweep.everything(life.account)
    return life


@pytest.fixture(scope="module", params=STACKS)
def life(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Life]:
    """The tests of a module go through one life of each stack, in their order."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    with world(request.param, folder, settings(request.param)) as stack:
        yield begin(stack)
