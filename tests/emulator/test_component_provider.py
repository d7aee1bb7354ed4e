"""The component provider under Pulumi's engine, as programs of other languages have it.

The Kubernetes provider writes files in a cluster's place (`renderYamlToDirectory`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from pulumi import automation

from slipway.engine import pulumi_cli
from toolchain import paths

pytestmark = [
    pytest.mark.programs,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
DIGEST = "sha256:" + "1" * 64
PLUGIN = f"""#!/bin/sh
PYTHONPATH={paths.ROOT} exec {sys.executable} -m slipway.provider "$@"
"""


class RemoteModelServer(pulumi.ComponentResource):
    """As a generated SDK declares it: the engine has the provider construct it."""

    path: pulumi.Output[str]

    def __init__(
        self, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        outputs = dict.fromkeys(("service", "path", "version"))
        token = "slipway:serving:ModelServer"
        super().__init__(token, name, {**inputs, **outputs}, opts, remote=True)


@pytest.fixture
def stack(tmp_path: Path) -> automation.Stack:
    """A stack of a program of which `min_replicas` may be configured."""

    def program() -> None:
        files = kubernetes.Provider(
            "files", render_yaml_to_directory=str(tmp_path / "made")
        )
        replicas = pulumi.Config().require_int("replicas")
        inputs = {
            "image": f"registry.example/slipway/model-server@{DIGEST}",
            "model_image": f"registry.example/models/employment@{DIGEST}",
            "route": {"prefix": "/employment/v1"},
            "scaling": {"min_replicas": replicas, "max_replicas": 4},
        }
        opts = pulumi.ResourceOptions(providers=[files])
        pulumi.export("path", RemoteModelServer("employment", inputs, opts).path)

    (tmp_path / "bin").mkdir()
    plugin = tmp_path / "bin" / "pulumi-resource-slipway"
    plugin.write_text(PLUGIN)
    plugin.chmod(0o755)
    (tmp_path / "state").mkdir()
    cli = pulumi_cli.find()
    pulumi_cli.ensure_kubernetes(cli)
    options = automation.LocalWorkspaceOptions(
        pulumi_command=cli.command,
        env_vars={
            **cli.environment,
            "PATH": f"{plugin.parent}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
        },
    )
    return automation.create_stack(
        "dev", project_name="theirs", program=program, opts=options
    )


def configure(stack: automation.Stack, replicas: int) -> None:
    stack.set_config("replicas", automation.ConfigValue(str(replicas)))


def test_a_model_server_from_nothing_to_nothing(
    stack: automation.Stack, tmp_path: Path
) -> None:
    configure(stack, 2)
    made = stack.up()
    assert made.outputs["path"].value == "/employment/v1"
    files = {it.name for it in (tmp_path / "made" / "1-manifest").iterdir()}
    assert "apps_v1-deployment-models-employment.yaml" in files
    again = stack.up()
    # Beside them: the stack, the Kubernetes provider, the server and its revision.
    count = len(files) + 4
    assert again.summary.resource_changes == {"same": count}
    gone = stack.destroy()
    assert gone.summary.resource_changes == {"delete": count}


def test_a_wrong_input_is_reported_with_its_path(
    stack: automation.Stack, tmp_path: Path
) -> None:
    configure(stack, 5)
    with pytest.raises(automation.CommandError) as caught:
        stack.up()
    assert "property scaling.max_replicas" in str(caught.value)
    assert "give at least 5, or lower min_replicas" in str(caught.value)
    assert not (tmp_path / "made" / "1-manifest").exists()
