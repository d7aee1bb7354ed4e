"""What docs/how-to/cluster-on-aws.md shows is what happens."""

from __future__ import annotations

import pytest

from components.settings import SettingsError
from slipway import stack_files
from slipway.cluster import sources
from slipway.rendering.render import render
from tests.support.rendered import IMAGES
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "cluster-on-aws.md").read_text()


@pytest.mark.parametrize("stack", ["cluster.dev", "platform.dev", "models.dev"])
def test_the_counts_shown_are_those_rendered(stack: str) -> None:
    found = render(stack, images=IMAGES)
    shown = (
        f"{stack}: {len(found.manifests)} Kubernetes objects, "
        f"{len(found.cloud)} cloud resources in rendered\n"
    )
    assert shown in PAGE, shown
    # What only a cluster can say is in no object that is applied to it.
    assert not any("of the cluster)" in text for text in found.files().values())


def test_the_refusals_shown_are_those_reported() -> None:
    config = {
        key.removeprefix("slipway:"): value
        for key, value in stack_files.load("cluster.prod")["config"].items()
    }
    config["network"]["nat"] = "single"
    config["pools"]["l40s"]["reservations"] = ["cr-0123456789abcdef0"]
    config["pools"]["h100"]["reservation"]["zone"] = "us-east-1f"
    with pytest.raises(SettingsError) as caught:
        render("cluster.prod", config, images=IMAGES)
    assert f"\n```\n{caught.value}\n```\n" in PAGE
    with pytest.raises(SettingsError) as caught:
        sources.require_made("platform.dev", ["cluster.dev"])
    assert f"\n```\n{caught.value}\n```\n" in PAGE
