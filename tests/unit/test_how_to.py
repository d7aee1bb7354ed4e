"""What docs/how-to/deploy-a-model.md shows is what happens."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from components.settings import SettingsError
from slipway.rendering.render import render
from tests.support import rendered as r
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "deploy-a-model.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


def config() -> dict[str, Any]:
    text, *_ = blocks("yaml")  # the first is a whole file, others are parts
    found: dict[str, Any] = yaml.safe_load(text)["config"]
    return {key.removeprefix("slipway:"): value for key, value in found.items()}


def test_the_least_that_a_model_needs_is_enough() -> None:
    assert len(render("models.mine", config=config(), images=r.IMAGES).manifests) == 11


def test_the_errors_shown_are_those_reported() -> None:
    wrong = config()
    wrong["models"]["employment"]["scaling"] = {"min_replicas": 9}
    wrong["models"]["employment"]["lifecycle"] = {"grace_seconds": 20}
    with pytest.raises(SettingsError) as caught:
        render("models.mine", config=wrong, images=r.IMAGES)
    assert f"\n```\n{caught.value}\n```\n" in PAGE


def test_every_setting_named_exists() -> None:
    reference = (paths.ROOT / "docs" / "reference" / "settings.md").read_text()
    for group, name in re.findall(r"`(scaling|lifecycle)\.(\w+)", PAGE):
        section = reference.split(f"### `models.<name>.{group}`")[1].split("###")[0]
        assert f"| `{name}` |" in section
