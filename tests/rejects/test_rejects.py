"""Bad configurations: each refused with path, reason and fix, before any resource.

`models.yaml` and its like, named by their layer or `<layer>-<topic>`, hold a good
configuration and the cases: what each changes in it (`change`, merged into mappings) or
leaves out (`drop`, paths), and the problems it must give, all of them and no others.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.settings import SettingsError
from slipway.rendering import recorder
from slipway.rendering import render as rendering
from tests.support.rendered import IMAGES

FILES = sorted(Path(__file__).parent.glob("*.yaml"))
LEAST_CASES = 30


def _merged(base: Any, change: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(change, dict):
        return copy.deepcopy(change)
    result = copy.deepcopy(base)
    for key, value in change.items():
        result[key] = _merged(result.get(key), value)
    return result


def _without(config: dict[str, Any], path: str) -> dict[str, Any]:
    result = copy.deepcopy(config)
    *parents, last = path.split(".")
    place = result
    for parent in parents:
        place = place[parent]
    del place[last]
    return result


def _layer(file: Path) -> str:
    return file.stem.partition("-")[0]


def _cases() -> list[Any]:
    found = []
    for file in FILES:
        content = yaml.safe_load(file.read_text())
        for case in content["cases"]:
            config = _merged(content["good"], case.get("change", {}))
            for path in case.get("drop", []):
                config = _without(config, path)
            name = f"{file.stem}: {case['name']}"
            found.append(pytest.param(_layer(file), config, case["problems"], id=name))
    return found


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[recorder.Recording]:
    """What each program run by the test has registered, refused or not."""
    recordings: list[recorder.Recording] = []

    def record() -> recorder.Recording:
        recordings.append(recorder.Recording())
        return recordings[-1]

    monkeypatch.setattr(rendering, "Recording", record)
    return recordings


def _matches(problem: Any, wanted: dict[str, str]) -> bool:
    return (
        problem.path == wanted["path"]
        and wanted["reason"] in problem.reason
        and wanted["fix"] in problem.fix
    )


@pytest.mark.parametrize(("layer", "config", "wanted"), _cases())
def test_it_is_refused_before_any_resource(
    layer: str,
    config: dict[str, Any],
    wanted: list[dict[str, str]],
    registered: list[recorder.Recording],
) -> None:
    with pytest.raises(SettingsError) as caught:
        rendering.render(f"{layer}.test", config=config, images=IMAGES)
    found = caught.value.problems
    assert len(found) == len(wanted), caught.value
    for problem in wanted:
        assert any(_matches(p, problem) for p in found), (problem, str(caught.value))
    assert [r.resources for r in registered] == [[]]
    assert f"stacks/config/Pulumi.{layer}.test.yaml" in str(caught.value)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_the_good_configuration_is_taken(file: Path) -> None:
    """Else a case might be refused for another reason than its own."""
    good = yaml.safe_load(file.read_text())["good"]
    rendered = rendering.render(f"{_layer(file)}.test", config=good, images=IMAGES)
    assert rendered.manifests or rendered.cloud


def test_the_corpus_is_not_lost() -> None:
    names = [case.id for case in _cases()]
    assert len(names) >= LEAST_CASES
    assert len(set(names)) == len(names)
