"""What a stack with EMR Serverless is made of, compared with the files in emr/.

SLIPWAY_RENEW_GOLDEN=1 .venv/bin/python -m pytest tests/golden/test_emr.py
git diff tests/golden/emr
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cluster.iam.arns import Arns
from components.settings import parse
from components.training import emr_parameters
from components.training.settings import JobsSettings
from slipway.rendering.render import Rendered, render
from tests.support import golden_file, iam
from tests.support.emr_stack import SETTINGS, WHOLE

FOLDER = Path(__file__).with_name("emr")
STACKS: dict[str, dict[str, Any]] = {"small": SETTINGS, "whole": WHOLE}
OWN = ("aws:emrserverless/", "aws:iam/")
"""What others than this component make has goldens of its own."""


def rendered(stack: str) -> Rendered:
    return render("jobs.test", config=STACKS[stack])


def text(stack: str) -> str:
    """The application, its roles, and what each run of a job is started with."""
    made = {
        f"{one['type']} {one['name']}": _readable(one["inputs"])
        for one in rendered(stack).cloud
        if one["type"].startswith(OWN)
    }
    chosen = parse(JobsSettings, STACKS[stack], "the test's")
    assert chosen.emr
    assert chosen.account
    arns = Arns(chosen.account.id, chosen.account.region)
    runs = {
        name: emr_parameters.run(chosen.emr, name, job, arns)
        for name, job in chosen.emr.jobs.items()
    }
    return yaml.safe_dump({"resources": made, "runs": runs}, sort_keys=True, width=88)


def _readable(inputs: dict[str, Any]) -> dict[str, Any]:
    """Policies as mappings, not as one line of JSON."""
    return {
        key: json.loads(value) if key in ("policy", "assumeRolePolicy") else value
        for key, value in inputs.items()
    }


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_is_made_of_what_was_read_last(stack: str) -> None:
    golden_file.assert_as_read(FOLDER / f"{stack}.yaml", text(stack))


@pytest.mark.parametrize("stack", STACKS)
def test_no_policy_is_wider_than_it_should_be(stack: str) -> None:
    found = iam.policies(rendered(stack))
    assert len(found) >= 4
    assert {one.name: list(iam.too_wide(one)) for one in found} == {
        one.name: [] for one in found
    }


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(STACKS)
