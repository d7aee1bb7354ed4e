"""Images that kind's nodes get without a registry: archives, names, images.lock."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.images import LOADED, REFERENCE
from slipway.images import ImageError, builds, cli, kind, lock, oci_archive, records
from slipway.images.builders import BUILDERS
from slipway.images.builds import Means
from slipway.images.records import Record
from tests.support import fake_builders
from tests.support.fake_builders import Fake, docker_archive

REPOSITORY = f"{LOADED}/slipway/waker"


def read(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        files = {member.name: opened.extractfile(member) for member in opened}
        return {name: file.read() for name, file in files.items() if file}


def follow(blobs: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    """A blob, whose digest and size are as its descriptor says."""
    algorithm, _, digest = descriptor["digest"].partition(":")
    content = blobs[f"blobs/{algorithm}/{digest}"]
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) == descriptor["size"]
    return content


@pytest.fixture
def converted(tmp_path: Path) -> tuple[str, dict[str, bytes]]:
    """The reference, and the files of the archive that was made."""
    layers = {"a/layer.tar": b"first", "b/layer.tar": b"\x1f\x8bsecond"}
    source = tmp_path / "docker.tar"
    source.write_bytes(docker_archive(layers, {"c/layer.tar": "../a/layer.tar"}))
    target = tmp_path / "oci.tar"
    return oci_archive.convert(source, target, REPOSITORY), read(target)


def test_the_manifest_has_the_name_by_which_pods_ask(
    converted: tuple[str, dict[str, bytes]],
) -> None:
    reference, files = converted
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (manifest,) = json.loads(files["index.json"])["manifests"]
    assert manifest["annotations"] == {"io.containerd.image.name": reference}
    assert reference == f"{REPOSITORY}@{manifest['digest']}"
    assert REFERENCE.fullmatch(reference)
    follow(files, manifest)


def test_config_and_layers_are_those_of_the_image(
    converted: tuple[str, dict[str, bytes]],
) -> None:
    _, files = converted
    manifest = json.loads(
        follow(files, json.loads(files["index.json"])["manifests"][0])
    )
    assert json.loads(follow(files, manifest["config"]))["os"] == "linux"
    layers = [follow(files, layer) for layer in manifest["layers"]]
    assert layers == [b"first", b"\x1f\x8bsecond", b"first"], "a link is what it means"
    types = [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]]
    assert types == ["tar", "tar+gzip", "tar"]
    blobs = [name for name in files if name.startswith("blobs/")]
    assert len(blobs) == 4, "equal layers are there once"


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_archive_is_an_error_of_the_operator(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "docker.tar").write_bytes(content)
    with pytest.raises(ImageError, match=r"docker.tar is not a docker-archive"):
        oci_archive.convert(tmp_path / "docker.tar", tmp_path / "oci.tar", REPOSITORY)


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    """Docker with a built image, and kind with a cluster."""
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(tmp_path / "images.lock"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kind, "build", lambda *_: [])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker.images").write_text("slipway/waker:1")
    kept = tmp_path / "slipway/docker/records.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"waker": {"key": "0" * 64, "id": "slipway/waker:1"}}))
    return fake_builders.install(
        tmp_path / "bin", monkeypatch, "docker", "kind", clusters=["dev"]
    )


def test_a_loaded_image_is_in_the_lock_under_its_name_in_the_nodes(
    fakes: list[Fake], tmp_path: Path
) -> None:
    other = "a.example/pause@sha256:" + 64 * "0"
    lock.write({"pause": other})
    loaded = kind.load("dev", ["waker"], means=Means(BUILDERS["docker"], "public"))
    index = json.loads(read(tmp_path / "bin" / "loaded.tar")["index.json"])
    (manifest,) = index["manifests"]
    name = manifest["annotations"]["io.containerd.image.name"]
    assert loaded == {"waker": name}
    assert lock.read() == {"pause": other, "waker": name}
    (call,) = fakes[1].called("load image-archive")
    assert call[-2:] == ["--name", "dev"]
    assert not Path(call[2]).exists(), "nothing is left"


def test_an_unknown_cluster_is_refused_with_the_known_ones(fakes: list[Fake]) -> None:
    with pytest.raises(
        ImageError, match=r"no kind cluster 'prod'.* shows dev; `kind c"
    ):
        kind.load("prod", ["waker"], means=Means(BUILDERS["docker"]))
    assert fakes[0].calls == [], "nothing was built"


def test_without_kind_the_error_says_so(
    fakes: list[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ImageError, match="kind is not on PATH"):
        kind.load("dev", ["waker"], means=Means(BUILDERS["docker"]))


def test_a_record_knows_the_builder_whose_storage_has_the_image(
    fakes: list[Fake],
) -> None:
    docker = BUILDERS["docker"]
    assert records.read(docker) == {"waker": Record("0" * 64, "slipway/waker:1")}
    assert records.read(BUILDERS["buildah"]) == {}
    (fakes[0].folder / "docker.images").write_text("")
    assert records.read(docker) == {}


def test_the_list_does_not_need_a_builder_that_works(fakes: list[Fake]) -> None:
    listed = CliRunner().invoke(cli.command, ["list"])
    assert "docker" in next(
        line for line in listed.output.splitlines() if "waker" in line
    )
    fakes[0].set(fails="image ls")
    listed = CliRunner().invoke(cli.command, ["list"])
    assert listed.exit_code == 0, listed.output
    assert "docker" not in listed.output


def test_docker_and_podman_start_from_a_public_image_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(builds.BASE_VARIABLE, raising=False)
    assert Means(BUILDERS["docker"]).asked_base == "public"
    assert Means(BUILDERS["podman"]).asked_base == "public"
    assert Means(BUILDERS["buildah"]).asked_base == "", "what can be had"
    monkeypatch.setenv(builds.BASE_VARIABLE, "debian")
    assert Means(BUILDERS["docker"]).asked_base == "debian"
    assert Means(BUILDERS["docker"], "public").asked_base == "public"
