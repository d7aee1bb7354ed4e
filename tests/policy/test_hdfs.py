"""An HDFS keeps the rules of production."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from components.security.rules import load
from slipway.policy import check, objects
from slipway.policy.evaluation import Evaluator
from slipway.rendering.render import render
from tests.support.rendered import IMAGES


@pytest.mark.parametrize("hdfs", [{}, {"temporary": True, "data_nodes": 1}])
def test_no_object_breaks_a_rule(hdfs: dict[str, Any]) -> None:
    config = {"cluster": {"kubeconfig": "lab"}, "hdfs": hdfs}
    made = render("jobs.test", config=config, images=IMAGES)
    found = check.findings(
        Evaluator(load()),
        objects.of_rendered(made),
        environment="test",
        production=True,
        settings=config,
        today=date(2026, 11, 30),
    )
    assert [f"{rule.id}: {one.name}: {wrong}" for rule, one, wrong, _ in found] == []
