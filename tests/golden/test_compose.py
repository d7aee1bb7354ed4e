"""What `slipway compose models.lab` writes, compared with the files in compose/.

SLIPWAY_RENEW_GOLDEN=1 .venv/bin/python -m pytest tests/golden/test_compose.py
git diff tests/golden/compose
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.support import composed
from toolchain import builds

FOLDER = Path(__file__).with_name("compose")
RENEW = "SLIPWAY_RENEW_GOLDEN"


def kept() -> dict[str, str]:
    found = [path for path in FOLDER.rglob("*") if path.is_file()]
    return {str(path.relative_to(FOLDER)): path.read_text() for path in found}


def test_the_project_is_the_one_that_was_read_last() -> None:
    found = composed.files()
    if os.environ.get(RENEW):
        shutil.rmtree(FOLDER, ignore_errors=True)
        for name, text in found.items():
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(text)
    assert set(found) == set(kept())
    for name, text in found.items():
        assert text == kept()[name], f"{name}: renew and read the difference"


@pytest.mark.programs
def test_it_is_what_the_compose_specification_says() -> None:
    validator = jsonschema.Draft7Validator(composed.schema())
    validator.validate(composed.project())
    wrong = composed.project()
    wrong["services"]["gateway"]["restart_policy"] = "always"
    with pytest.raises(jsonschema.ValidationError, match="restart_policy"):
        validator.validate(wrong)


def test_the_specification_is_the_one_that_compose_is_built_with() -> None:
    module = "github.com/compose-spec/compose-go/v2"
    lock = (builds.group("compose").source / "go.sum").read_text()
    assert f"{module} {builds.group('compose-spec').version()} h1:" in lock
