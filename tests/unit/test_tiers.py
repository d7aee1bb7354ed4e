"""Every test file is collected: a test that never runs proves nothing."""

from __future__ import annotations

from lab import paths
from tests.conftest import TIERS

TESTS = paths.ROOT / "tests"
NOT_TIERS = {"support"}


def test_every_folder_is_a_tier() -> None:
    folders = {p.name for p in TESTS.iterdir() if p.is_dir() and p.name[0] not in "._"}
    assert folders - NOT_TIERS <= set(TIERS)


def test_every_file_with_a_test_is_named_to_be_collected() -> None:
    lost = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if "\ndef test_" in path.read_text() and not path.name.startswith("test_")
    ]
    assert lost == []
