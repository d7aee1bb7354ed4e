"""What is downloaded from the package index is pinned with its digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools import environment, lock
from tests.support.pins import hashes, pins
from toolchain import paths

LOCKED = [lock.ALL, *lock.whole()]


def test_every_requirements_file_has_a_lock() -> None:
    names = {str(file.relative_to(paths.ROOT)) for file in LOCKED}
    assert {
        "requirements-dev.txt",
        "images/model_server/requirements.txt",
        "images/waker/requirements.txt",
        "tests/policy/requirements-checkov.txt",
        "toolchain/requirements-uv.txt",
    } <= names
    assert all(lock.lock_of(file).is_file() for file in LOCKED)


@pytest.mark.parametrize(
    "file", lock.whole(), ids=lambda f: f"{f.parent.name}/{f.stem}"
)
def test_a_lock_has_the_same_pins_with_hashes(file: Path) -> None:
    text = lock.lock_of(file).read_text()
    assert pins(text) == pins(file.read_text()), "run `make lock`"
    assert all(hashes(text).values())


def test_the_projects_lock_has_all_constraints_with_hashes() -> None:
    text = lock.lock_of(lock.ALL).read_text()
    locked = pins(text)
    assert locked == pins(lock.CONSTRAINTS.read_text()), "run `make lock`"
    assert all(hashes(text).values())
    for file in (lock.ALL, paths.ROOT / "requirements.txt"):
        direct = pins(file.read_text())
        assert direct == {name: locked[name] for name in direct}, "run `make lock`"
    assert lock.lock_of(lock.ALL) == paths.ROOT / environment.LOCK


def test_a_line_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match="numpy"):
        pins("numpy>=2")
