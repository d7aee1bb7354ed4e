"""What docs/how-to/training.md shows is what happens."""

from __future__ import annotations

import re
from typing import Any

import yaml

from components.training import frameworks, gang, run_template
from components.training.gang import BAD_CONFIGURATION
from components.training.gang_start import TIMED_OUT
from components.training.job_fields import OWN
from slipway.jobs import following, state
from slipway.rendering.render import render
from tests.support.rendered import IMAGES
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "training.md").read_text()


def config() -> dict[str, Any]:
    text, *_ = re.findall(r"^```yaml\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(text)["config"]
    return {key.removeprefix("slipway:"): value for key, value in found.items()}


def test_the_stack_file_shown_is_taken() -> None:
    made = render("jobs.mine", config=config(), images=IMAGES)
    kinds = {one["kind"] for one in made.manifests}
    assert kinds >= {"CronJob", "Service", "NetworkPolicy", "ServiceAccount"}


def test_every_variable_of_a_program_is_reported() -> None:
    ours = {one for one in frameworks.own_names("command") if "JOB_" not in one}
    for name in (*ours, *(f"SLIPWAY_{one}" for one in OWN), "HOME"):
        assert f"`{name}`" in PAGE, name


def test_the_port_that_is_taken_is_reported() -> None:
    assert f"Port {gang.PORT} of each worker of a gang is taken" in PAGE


def test_how_late_a_schedule_starts_is_reported() -> None:
    late = run_template.START_LATE_SECONDS
    assert f"start by themselves, at most {late} s late" in PAGE


def test_every_exit_status_is_reported() -> None:
    for status in (TIMED_OUT, state.DEADLINE):
        assert re.search(rf"(?m)^\| {status} \|", PAGE), status
    assert f"exits with {BAD_CONFIGURATION} " in PAGE
    assert "With `torch` it is 1, torchrun's own" in PAGE
    assert f"the first {following.MOST_WORKERS} workers" in PAGE
