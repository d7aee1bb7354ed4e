"""One stack in an account of its own: the real engine, and a checkout to change."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from slipway import stack_files
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.cluster.target import Target
from slipway.engine import workspace
from slipway.engine.engine import Engine
from slipway.engine.results import StackResult
from slipway.stack_files import CONFIG_FOLDER, PROJECT_FILE
from slipway.teardown.aws import Found
from slipway.teardown.destroyer import Destroyer
from tests.support.aws import emulators
from tests.support.aws.account import Account
from tests.support.aws.provider import AwsProvider, serving
from tests.support.aws.table import HANDLERS
from toolchain import paths


class World:
    """A stack, its file in a copy of the checkout, and the account it is made in."""

    def __init__(
        self,
        stack: str,
        root: Path,
        provider: AwsProvider,
        program: Callable[[], None] | None = None,
    ) -> None:
        self.stack, self.root, self.provider = stack, root, provider
        self.program = program
        """In place of the layer's own."""
        self.said = io.StringIO()
        self.account = Account(provider.endpoints, self.settings["account"]["region"])

    @property
    def engine(self) -> Engine:
        """A new one, as each command has."""
        programs = {self.stack: self.program} if self.program else {}
        return Engine(Console(file=self.said), programs, self.root)

    @property
    def settings(self) -> dict[str, Any]:
        """What the stack's file says, as it is now."""
        return settings(self.stack, self.root)

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Changes the stack's settings; `edit` gets them all, by their names."""
        changed = self.settings
        edit(changed)
        write(self.stack, self.root, changed)

    def up(self) -> StackResult:
        return self.engine.up(self.stack)

    def preview(self) -> StackResult:
        return self.engine.preview(self.stack)

    def destroy(self) -> StackResult:
        """The engine's own destroy, no more."""
        return self.engine.destroy(self.stack)

    def take_down(self) -> StackResult:
        """What `slipway destroy` does; there is no API server that could be drained."""

        def unreachable(_: Target) -> KubeApi:
            raise KubeApiError("an emulated cluster has no API server")

        def found(cluster: Target) -> Found:
            return Found(cluster, self.account.client)

        taker = Destroyer(
            self.engine,
            found=found,
            reach=unreachable,
            clients=lambda _: self.account.client,
        )
        return taker.destroy(self.stack)

    def sent(self, operation: str) -> list[dict[str, Any]]:
        """Parameters of the calls of an operation, such as `eks:CreateCluster`."""
        return [c.parameters for c in self.provider.sent if c.operation == operation]

    def done(self, verb: str) -> list[str]:
        """URNs of what the provider did, in order."""
        return [urn for what, urn in self.provider.calls if what == verb]


def settings(stack: str, root: Path | None = None) -> dict[str, Any]:
    """Settings of a stack file without the prefix of their names."""
    config = stack_files.load(stack, root)["config"]
    return {key.removeprefix("slipway:"): value for key, value in config.items()}


def write(stack: str, root: Path, content: dict[str, Any]) -> None:
    """A stack file with these settings, in a checkout of its own."""
    file = root / CONFIG_FOLDER / f"Pulumi.{stack}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    config = {f"slipway:{key}": value for key, value in content.items()}
    file.write_text(yaml.safe_dump({"config": config}, sort_keys=False))
    project = (paths.ROOT / PROJECT_FILE).read_text()
    (root / PROJECT_FILE).write_text(project)


@contextmanager
def world(
    stack: str,
    folder: Path,
    content: dict[str, Any],
    program: Callable[[], None] | None = None,
) -> Iterator[World]:
    """A stack of these settings in an empty account; Pulumi's state is its own too."""
    root = folder / "checkout"
    write(stack, root, content)
    place = content["account"]
    with (
        emulators.running(place["id"], place["region"], folder) as endpoints,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        for variable in ("PULUMI_BACKEND_URL", *workspace.PASSPHRASE_VARIABLES):
            patch.delenv(variable, raising=False)
        # Production does not take the passphrase that is made at first use.
        patch.setenv("PULUMI_CONFIG_PASSPHRASE", "of an empty account")
        provider = AwsProvider(HANDLERS, endpoints)
        with serving(provider) as address:
            patch.setenv("PULUMI_DEBUG_PROVIDERS", address)
            yield World(stack, root, provider, program)
