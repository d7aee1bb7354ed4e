"""Files of publishers' Go modules where there is no Go."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.platform import package


def test_without_go_and_cache_the_module_and_the_way_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(package.NoGoError, match=r"keda.* is not in the cache.*install"):
        package.folder("keda")


def test_what_is_in_the_cache_needs_no_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    target = tmp_path / "slipway" / "packages" / f"keda-{package.version('keda')}"
    target.mkdir(parents=True)
    assert package.folder("keda") == target
