"""Bad configurations: each refused with path, reason and fix, before any resource.

docs/refused_cases.py says what the files hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.settings import SettingsError
from docs import refused_cases, refused_reference
from docs.refused_cases import Case
from slipway.rendering import recorder
from slipway.rendering import render as rendering
from toolchain import paths

FILES = refused_cases.files()
LEAST_CASES = 560
PAGE = (paths.ROOT / refused_reference.PAGE).read_text()
ROWS = frozenset(PAGE.splitlines())


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}: {case.name}")
        for file in FILES
        for case in refused_cases.cases(file)
    ]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[recorder.Recording]:
    """What each program run by the test has registered, refused or not."""
    recordings: list[recorder.Recording] = []

    def record() -> recorder.Recording:
        recordings.append(recorder.Recording())
        return recordings[-1]

    monkeypatch.setattr(rendering, "Recording", record)
    return recordings


@pytest.mark.parametrize("case", _cases())
def test_it_is_refused_before_any_resource(
    case: Case, registered: list[recorder.Recording]
) -> None:
    images = refused_cases.images()
    with pytest.raises(SettingsError) as caught:
        rendering.render(f"{case.layer}.test", config=dict(case.config), images=images)
    found = caught.value.problems
    assert len(found) == len(case.problems), caught.value
    for problem in case.problems:
        assert any(refused_reference.matches(p, problem) for p in found), (
            problem,
            str(caught.value),
        )
    assert [r.resources for r in registered] == [[]]
    assert f"stacks/config/Pulumi.{case.layer}.test.yaml" in str(caught.value)
    told = list(refused_reference.rows(case, found))
    assert set(told) <= ROWS, f"{refused_reference.PAGE} is not of today: make docs"


def test_the_page_has_no_other_rows() -> None:
    cases = [case for file in FILES for case in refused_cases.cases(file)]
    wanted = sum(len(case.problems) for case in cases)
    assert len([row for row in PAGE.splitlines() if row.startswith("| `")]) == wanted
    assert PAGE.startswith(refused_reference.HEAD)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_the_good_configuration_is_taken(file: Path) -> None:
    """Else a case might be refused for another reason than its own."""
    rendered = rendering.render(
        f"{refused_cases.layer(file)}.test",
        config=refused_cases.good(file),
        images=refused_cases.images(),
    )
    assert rendered.manifests or rendered.cloud


def test_the_corpus_is_not_lost() -> None:
    names = [case.id for case in _cases()]
    assert len(names) >= LEAST_CASES
    assert len(set(names)) == len(names)


def test_every_case_says_what_would_happen() -> None:
    used = {case.would for file in FILES for case in refused_cases.cases(file)}
    assert used == set(refused_cases.CONSEQUENCES)
