"""What docs/how-to/node-pools.md shows is what happens."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml

from components.cluster.nodes import amis, pool_nodes
from components.settings import SettingsError, parse
from tests.support.pools import Pools
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "node-pools.md").read_text()
SOURCE = "stacks/config/Pulumi.cluster.mine.yaml"


def blocks() -> list[dict[str, Any]]:
    found = re.findall(r"^```yaml\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(text)["slipway:pools"] for text in found]


def pools() -> dict[str, Any]:
    return blocks()[0]


def refusal() -> str:
    wrong = copy.deepcopy(pools())
    for name, change in blocks()[1].items():
        wrong[name] |= change
    with pytest.raises(SettingsError) as caught:
        parse(Pools, {"pools": wrong}, SOURCE)
    return str(caught.value)


def test_the_pools_shown_are_taken() -> None:
    found = parse(Pools, {"pools": pools()}, SOURCE).pools
    assert {pool.kind for pool in found.values()} == {"system", "reserved", "elastic"}


def test_the_errors_shown_are_those_reported() -> None:
    assert f"\n```\n{refusal()}\n```\n" in PAGE


def test_the_release_shown_is_the_one_pinned() -> None:
    lock = amis.lock()
    driver = lock.image("al2023-x86_64-nvidia").driver
    words = " ".join(PAGE.split())
    assert f"release `{lock.tag}` of" in words
    assert f"Kubernetes {' to '.join(sorted(lock.release_versions)[::3])}," in words
    assert f"driver {driver}." in words


def test_the_way_onto_a_pool_is_the_one_shown() -> None:
    found = parse(Pools, {"pools": pools()}, SOURCE).pools
    asked = pool_nodes.placement("small-models", found["small-models"])
    assert f"`{asked.resource}`" in PAGE
    assert f"value `{asked.tolerations[0]['value']}`" in PAGE
    for label in pool_nodes.labels("l40s", found["l40s"]):
        assert f"`{label}" in PAGE
