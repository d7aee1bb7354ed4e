"""Short image names become references by digest, or are refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components import images
from slipway.rendering.render import render
from stacks import image_lock

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
def test_an_unknown_name_is_reported_with_the_known_ones() -> None:
    with pytest.raises(images.ImageError) as caught:
        images.resolve("model-servre")
    assert "did you mean model-server?" in caught.value.fix
    assert "slipway images" in caught.value.fix


def test_a_missing_lock_says_what_to_run(lock: Path) -> None:
    lock.unlink()
    with pytest.raises(images.ImageError) as caught:
        images.resolve("model-server")
    for command in ("images push --registry HOST/PATH", "images load --kind NAME"):
        assert f"`slipway {command}`" in caught.value.fix


@pytest.mark.parametrize("content", ["not json", '{"model-server": "host/a:latest"}'])
def test_a_broken_lock_is_not_believed(lock: Path, content: str) -> None:
    lock.write_text(content)
    with pytest.raises(images.ImageError, match="run `slipway images` again"):
        images.resolve("model-server")


def test_nodes_pull_all_but_what_was_loaded_into_them() -> None:
    assert images.pull_policy(FULL) == "Always"
    loaded = f"{images.LOADED}/slipway/model-server@{DIGEST}"
    assert images.REFERENCE.fullmatch(loaded), "it may stand in images.lock"
    assert images.pull_policy(loaded) == "Never"


def test_a_version_label_is_the_digests_beginning() -> None:
    assert images.short_digest(FULL) == "0a0a0a0a0a0a"


def test_a_stacks_lock_holds_for_its_program_only(lock: Path) -> None:
    """platform.prod names a lock in the checkout."""
    rendered = render("platform.prod")
    text = "".join(rendered.files(secrets=False).values())
    assert "111122223333.dkr.ecr" in text
    assert images.lock_file() == lock


def test_a_stacks_lock_beats_the_users_own(lock: Path, tmp_path: Path) -> None:
    other = tmp_path / "prod.lock"
    other.write_text(json.dumps({"model-server": FULL.replace("5000", "5001")}))
    with images.using(images.Lock(other, must_be_named=True)):
        assert images.resolve("model-server") == FULL.replace("5000", "5001")
    assert images.resolve("model-server") == FULL


@pytest.mark.usefixtures("lock")
def test_in_production_the_users_own_lock_means_nothing() -> None:
    with (
        images.using(images.Lock(must_be_named=True)),
        pytest.raises(images.ImageError, match=r"no reviewer sees.*images_lock"),
    ):
        images.resolve("model-server")


@pytest.mark.parametrize(
    ("given", "is_production"),
    [
        *((it, True) for it in (True, "true", "Yes", "on", 1, "1", "t", "Y")),
        *((it, False) for it in (False, "false", "no", "off", 0, "0", "f", "N")),
        ("perhaps", True),
    ],
)
def test_production_is_what_the_settings_read_it_as(
    given: object, is_production: bool, tmp_path: Path
) -> None:
    assert image_lock.of({"production": given}, tmp_path).must_be_named is is_production
    assert not image_lock.of({}, tmp_path).must_be_named


def test_a_lock_is_read_once_for_each_of_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack of many models asks for each; a build in between is seen."""
    file = tmp_path / "images.lock"
    reads = []
    loads = json.loads

    def noted(text: str) -> Any:
        reads.append(text)
        return loads(text)

    monkeypatch.setattr(images.json, "loads", noted)
    for digit in "0101":
        content = {"one": f"registry.lab/one@sha256:{digit * 63}7"}
        file.write_text(json.dumps(content))
        for _ in range(3):
            found = images.known(file)
            assert found == content
            found.clear()  # what is kept is nobody's to change
    assert len(reads) == 2
