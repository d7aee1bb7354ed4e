"""Files of publishers' Go modules where there is no Go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.platform import package
from toolchain import modules


def test_without_go_and_cache_the_module_and_the_way_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(package, "_refused", {})
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    with pytest.raises(package.NoGoError) as first:
        package.folder("keda")
    assert re.search(
        r"keda.* is not in the cache.*127.0.0.1:9.*install", str(first.value)
    )
    monkeypatch.delenv("GOPROXY")
    with pytest.raises(package.NoGoError) as second:
        package.folder("keda")
    assert str(second.value) == str(first.value), "no proxy is asked again"


def test_without_go_the_files_come_from_the_proxy_as_go_sum_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    def fetch(module: str, version: str, sums: Path, folder: Path) -> Path:
        assert (module, version) == ("github.com/kedacore/keda/v2", "v2.21.0")
        assert f"{module} {version} h1:" in sums.read_text()
        (folder / "keda/config/crd").mkdir(parents=True)
        (folder / "keda/config/crd/file.yaml").touch()
        return folder / "keda"

    monkeypatch.setattr(modules, "fetch", fetch)
    assert (package.folder("keda") / "config/crd/file.yaml").is_file()


def test_what_is_in_the_cache_needs_no_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    target = tmp_path / "slipway" / "packages" / f"keda-{package.version('keda')}"
    target.mkdir(parents=True)
    assert package.folder("keda") == target
