"""What docs/how-to/spark.md shows is what happens."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from components.training import gang, spark_fields, spark_properties
from slipway.rendering.render import render
from tests.support.rendered import IMAGES
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "spark.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


def jobs() -> dict[str, Any]:
    """All Spark jobs that the page shows, by name."""
    whole, counts = map(yaml.safe_load, BLOCKS)
    return {**whole["config"]["slipway:spark"], **counts}


@pytest.mark.parametrize("name", jobs())
def test_the_jobs_shown_are_taken(name: str) -> None:
    config = {"cluster": {"kubeconfig": "ambient"}, "spark": {name: jobs()[name]}}
    made = render("jobs.mine", config=config, images=IMAGES)
    kinds = {one["kind"] for one in made.manifests}
    assert kinds >= {"CronJob", "Role", "NetworkPolicy", "ServiceAccount"}


def test_the_program_that_is_named_is_in_the_image() -> None:
    text = (paths.ROOT / "images/monitor_spark/Containerfile").read_text()
    assert f" {jobs()['prediction-counts']['main']}\n" in text
    program = (paths.ROOT / "images/monitor_spark/count_log.py").read_text()
    for argument in jobs()["prediction-counts"]["arguments"]:
        assert f'"{argument.partition("=")[0]}"' in program


def test_ports_folders_and_bounds_are_told() -> None:
    driver, blocks = spark_properties.DRIVER_PORT, spark_properties.BLOCK_PORT
    assert f"| executors | driver | {driver}, {blocks} |" in PAGE
    assert f"| driver, executors | executors | {blocks} |" in PAGE
    assert f"-history {spark_properties.HISTORY_PORT} " in PAGE
    for folder in (spark_fields.STORAGE, spark_fields.DATA, spark_fields.EVENT_LOG):
        assert f"| `{folder}`" in PAGE
    least, most = spark_fields.LEAST_GRACE_SECONDS, spark_fields.MOST_GRACE_SECONDS
    assert f"so {least} is the least that is taken, and {most} the most" in PAGE
    assert f"exits with {gang.BAD_CONFIGURATION} " in PAGE
