"""Short image names become references by digest, or are refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components import images

DIGEST = "sha256:" + "0a" * 32
FULL = f"registry.lab:5000/slipway/model-server@{DIGEST}"


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "images.lock"
    file.write_text(json.dumps({"model-server": FULL}))
    monkeypatch.setenv(images.LOCK_VARIABLE, str(file))
    return file


@pytest.mark.usefixtures("lock")
def test_a_short_name_is_looked_up() -> None:
    assert images.resolve("model-server") == FULL


@pytest.mark.parametrize(
    "reference",
    [
        FULL,
        f"ghcr.io/a/b/c@{DIGEST}",
        f"localhost:5000/a@{DIGEST}",
        f"host.example/a:1.2@{DIGEST}",
    ],
)
def test_a_full_reference_needs_no_lock(
    lock: Path, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock.unlink()
    assert images.resolve(reference) == reference


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(
    "name",
    [
        "nginx:latest",
        "host.example/a:1.2",
        f"host.example/a@{DIGEST[:-1]}",
        f"host.example/A@{DIGEST}",
        "",
        f"{FULL}\n",
    ],
)
def test_what_is_neither_is_refused(name: str) -> None:
    with pytest.raises(images.ImageError, match="neither a name of"):
        images.resolve(name)


@pytest.mark.usefixtures("lock")
def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(images.ImageError) as caught:
        images.resolve("model-servre")
    assert "did you mean model-server?" in caught.value.fix
    assert "slipway images" in caught.value.fix


def test_a_missing_lock_says_what_to_run(lock: Path) -> None:
    lock.unlink()
    with pytest.raises(images.ImageError, match="run `slipway images`"):
        images.resolve("model-server")


@pytest.mark.parametrize("content", ["not json", '{"model-server": "host/a:latest"}'])
def test_a_broken_lock_is_not_believed(lock: Path, content: str) -> None:
    lock.write_text(content)
    with pytest.raises(images.ImageError, match="run `slipway images` again"):
        images.resolve("model-server")


def test_a_version_label_is_the_digests_beginning() -> None:
    assert images.short_digest(FULL) == "0a0a0a0a0a0a"
