"""Builds from the table to images.lock, with a stand-in for the builder's program."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.images import ImageError, builds, lock, records, registry
from slipway.images.builders import BUILDERS
from slipway.images.builds import Means
from slipway.images.inputs import Binary
from slipway.images.registry import Registry
from slipway.images.table import base_source
from tests.support import fake_builders
from tests.support.fake_builders import Fake, digest_of
from toolchain import builds as programs_built
from toolchain import downloads
from toolchain.builds import BuildError

DOCKER = Means(BUILDERS["docker"])
REFERENCE = base_source().public


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(tmp_path / "images.lock"))
    monkeypatch.delenv(builds.BASE_VARIABLE, raising=False)
    (fake,) = fake_builders.install(tmp_path / "bin", monkeypatch, "docker")
    return fake


def test_an_image_starts_from_the_pulled_base_and_is_built_once(docker: Fake) -> None:
    assert builds.build(["alert-recorder"], means=DOCKER) == ["base", "alert-recorder"]
    base = records.read(DOCKER.builder)["base"]
    assert docker.called("pull") == [["pull", "--quiet", REFERENCE]]
    assert ["tag", REFERENCE, base.id] in docker.called("tag")
    (build,) = docker.called("build")
    assert f"BASE={base.id}" in build
    assert builds.build(["alert-recorder"], means=DOCKER) == []
    assert len(docker.called("build")) == 1


def test_another_base_is_another_image(docker: Fake) -> None:
    builds.build(["alert-recorder"], means=DOCKER)
    own = Means(DOCKER.builder, "registry.example/python:3.11")
    assert builds.build(["alert-recorder"], means=own) == ["base", "alert-recorder"]
    assert docker.called("pull")[1][-1] == "registry.example/python:3.11"


def test_a_base_that_cannot_be_pulled_names_the_other_way(docker: Fake) -> None:
    docker.set(fails="pull")
    with pytest.raises(ImageError, match=r"base: docker.io/.*--base debian") as caught:
        builds.build(["alert-recorder"], means=DOCKER)
    assert "what went wrong" in str(caught.value)
    assert docker.called("build") == []


def test_a_program_that_cannot_be_had_names_the_image(
    docker: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(_: Binary) -> Path:
        raise BuildError("dl.example does not answer")

    monkeypatch.setattr(Binary, "make", make)
    with pytest.raises(ImageError, match=r"metrics-server: dl\.example does not"):
        builds.build(["metrics-server"], means=DOCKER)


def test_a_push_writes_the_digests_that_docker_reports(
    docker: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "check", lambda _: None)
    monkeypatch.setattr(Registry, "has", lambda *_: False)
    target = Registry.at("registry.example/team", "mirror.example/team")
    registry.push(target, ["alert-recorder"], means=DOCKER)
    key = records.read(DOCKER.builder)["alert-recorder"].key[:16]
    digest = digest_of(f"registry.example/team/slipway/alert-recorder:{key}")
    reference = f"mirror.example/team/slipway/alert-recorder@{digest}"
    assert lock.read() == {"alert-recorder": reference}


@pytest.mark.parametrize("own", [True, False])
def test_a_registry_of_ones_own_gets_no_images_of_the_lab(
    own: bool, docker: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def build(names: list[str], *_: object) -> None:
        asked.extend(names)
        raise ImageError("enough")

    monkeypatch.setattr(registry, "build", build)
    monkeypatch.setattr("slipway.images.feasible.check", lambda *_: None)
    monkeypatch.setattr(Registry, "check", lambda _: None)
    target = Registry.at("registry.example/team") if own else None
    with pytest.raises(ImageError, match="enough"):
        registry.push(target, means=DOCKER)
    assert "model-server" in asked
    assert ("pause" in asked) is not own


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("pulumi", "darwin-arm64.tar.gz"),
        ("pulumi-kubernetes", "darwin-arm64.tar.gz"),
        ("coredns", "linux_arm64.tgz"),
    ],
)
def test_on_macos_only_what_runs_there_is_for_it(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(downloads, "architecture", lambda: "arm64")
    group = programs_built.group(name)
    filled = downloads._filled(group.expand(group.download["url"]), "")
    assert filled.endswith(url)
