"""The tutorial's program, stack file and errors are what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components.settings import SettingsError
from slipway.cli import cli
from slipway.rendering.render import Rendered, render
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "tutorial.md").read_text()
STACK = "models.tutorial"


def blocks(kind: str) -> list[str]:
    """Contents of the page's code blocks of that language."""
    found = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", PAGE)
    return [content for language, content in found if language == kind]


def stack_file() -> dict[str, Any]:
    (text,) = blocks("yaml")
    config: dict[str, Any] = yaml.safe_load(text)["config"]
    return config


def rendered(config: dict[str, Any]) -> Rendered:
    return render(STACK, {k.removeprefix("slipway:"): v for k, v in config.items()})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where the tutorial's program was run, and what it printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    (program,) = blocks("python")
    (folder / "train.py").write_text(program)
    words = [sys.executable, "-W", "ignore", "train.py"]
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    return folder, done.stdout


def test_the_model_is_trained_as_shown(trained: tuple[Path, str]) -> None:
    assert trained[1] in blocks("")


def test_the_folder_passes_the_check_until_an_example_is_changed(
    trained: tuple[Path, str],
) -> None:
    folder = trained[0] / "tutorial" / "tumour"
    check = ["models", "check", str(folder)]
    assert "agree\n" in (shown := CliRunner().invoke(cli, check).output)
    assert shown in blocks("")
    examples = folder / "examples.json"
    before = examples.read_text()
    examples.write_text(re.sub(r'("label": \[)(\d)', r"\g<1>7", before))
    try:
        result = CliRunner().invoke(cli, check)
        assert result.exit_code != 0
        assert "row 0" in result.output
    finally:
        examples.write_text(before)


def test_the_stack_gives_what_the_page_lists() -> None:
    kinds = {it["kind"] for it in rendered(stack_file()).manifests}
    assert {
        "Deployment",
        "NetworkPolicy",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "HTTPRoute",
    } <= kinds


def test_two_mistakes_are_reported_as_shown() -> None:
    config = stack_file()
    model = config["slipway:models"]["tumour"]
    model["scaling"]["max_replicas"] = 1
    model["lifecycle"] = {"grace_seconds": 20}
    with pytest.raises(SettingsError) as caught:
        rendered(config)
    assert f"error: {caught.value}\n" in blocks("")


def test_its_links_and_commands_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (paths.ROOT / "docs" / target).exists(), target
    runner = CliRunner()
    used = set(re.findall(r"slipway ([a-z]+)", PAGE))
    for command in sorted(used & set(cli.list_commands(None))):  # type: ignore[arg-type]
        assert runner.invoke(cli, [command, "--help"]).exit_code == 0
    assert {"render", "cost", "models", "up", "destroy"} <= used
