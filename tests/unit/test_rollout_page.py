"""docs/rollout-gates.md holds what its command prints, and what the program takes."""

from __future__ import annotations

import re

import pytest
import yaml
from rollout import gate

from benchmarks import rollout_errors as errors
from components import naming
from components.delivery.settings import RolloutSettings
from components.settings import parse
from slipway.rollouts import show
from slipway.rollouts.command import command
from tests.support import rendered
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "rollout-gates.md").read_text()
HOW_TO = (paths.ROOT / "docs" / "how-to" / "rollouts.md").read_text()


@pytest.mark.parametrize("name", errors.TABLES)
def test_the_page_has_a_row_for_each_contender_and_figure(name: str) -> None:
    contenders, columns = errors.TABLES[name]
    head = f"| gate | looks | {' | '.join(it.name for it in columns)} |"
    _, _, rest = PAGE.partition(head)
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    shown = [tuple(row.strip("| ").split(" | ")[:2]) for row in rows]
    assert shown == [(one.name, str(one.least)) for one in contenders]
    assert {row.count("|") for row in rows} == {len(columns) + 3}


def test_the_page_names_the_run() -> None:
    assert f"{errors.RUNS} runs a cell, seed {errors.SEED}" in PAGE


def test_the_page_names_the_gates_limits() -> None:
    assert f"After {gate.SLOW_INTERVALS} intervals" in PAGE
    assert f"at least {gate.FAST_FACTOR:.0f} times the number of gates" in PAGE
    assert f"{gate.LEAST_REQUESTS:,} requests of the canary" in PAGE


def test_the_settings_shown_are_settings() -> None:
    text, of_pairs = re.findall(r"(?s)```yaml\n(.*?)```", PAGE)
    found = parse(RolloutSettings, yaml.safe_load(text), "the page")
    assert [step.approval for step in found.steps] == [False, False, True]
    assert found.gates.slow
    pair = {"from": "a", "to": "b"} | yaml.safe_load(of_pairs)
    pairs = parse(RolloutSettings, pair, "the page").gates.pairs
    assert pairs
    assert pairs.given == ["decisions", "scores", "accuracy"]


def test_the_stack_of_the_how_to_renders() -> None:
    text, *_ = re.findall(r"(?s)```yaml\n(.*?)```", HOW_TO)
    config = yaml.safe_load(text.replace("sha256:...", f"sha256:{'0' * 64}"))
    found = rendered.models(models=config["slipway:models"])
    names = {(m["kind"], m["metadata"]["name"]) for m in found.manifests}
    assert ("HTTPRoute", "employment-traffic") in names
    assert ("Deployment", naming.ROLLOUT_CONTROLLER) in names


def test_the_how_to_shows_what_status_prints() -> None:
    judgement = {
        "gate": "errors",
        "bad": [3, 55],
        "requests": [1210, 22904],
        "intervals": 12,
        "estimate": "-0.0005",
        "lower": "-0.0046",
        "upper": "0.0037",
    }
    for line in show._judgement(judgement, 0.005):
        assert line in HOW_TO


def test_the_how_to_names_every_command() -> None:
    for name in command.commands:
        assert f"slipway rollout {name} " in HOW_TO
