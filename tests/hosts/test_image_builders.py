"""Images built by the real Docker Engine and Podman, pushed, and loaded as kind does.

The images are small: busybox, and one that starts from it. The base of our images and
what is put into them play no part here.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from components.images import LOADED
from slipway.images import oci_archive
from slipway.images.builders import BUILDERS, Builder, Order, secrets
from slipway.images.registry import MANIFEST_TYPES
from tests.support import real_builders
from tests.support.kube import wait_until
from tests.support.real_builders import ImageService
from toolchain import packages

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or os.geteuid() != 0,
    reason="daemons in mount namespaces need Linux and root",
)
BUSYBOX = """
FROM scratch
ARG VERSION
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]
LABEL version="${VERSION}"
"""
ON_IT = """
ARG BASE
FROM ${BASE} AS build
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \\
    --mount=type=secret,id=ca.crt \\
    cat /etc/pip.conf /run/secrets/ca.crt > /seen
FROM ${BASE}
COPY --from=build /seen /seen
"""
AUTHORITY = "-----an authority-----"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_builders.registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageService]:
    with real_builders.image_service(tmp_path_factory.mktemp("containerd")) as service:
        yield service


@pytest.fixture(scope="module", params=["docker", "podman"])
def builder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Builder]:
    folder = tmp_path_factory.mktemp(request.param)
    with (
        getattr(real_builders, request.param)(folder) as programs,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        yield BUILDERS[request.param]


@pytest.fixture(scope="module")
def image(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of an image that starts from one that was built before."""
    work = tmp_path_factory.mktemp("contexts")
    unpacked = packages.unpack(["busybox-static"], suite="bookworm")
    contexts = {"base": BUSYBOX, "waker": ON_IT}
    for name, text in contexts.items():
        (work / name).mkdir()
        (work / name / "Containerfile").write_text(text)
    (work / "base" / "busybox").write_bytes((unpacked / "bin/busybox").read_bytes())
    (work / "base" / "busybox").chmod(0o755)
    (work / "ca.pem").write_text(AUTHORITY)
    settings = {"index-url": "https://index.example", "cert": str(work / "ca.pem")}
    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "pip_settings", lambda: settings)
        first = Order("base", "b" * 64, work / "base", {"VERSION": "1"})
        base = builder.build(first, steps.append)
        arguments = {"VERSION": "1", "BASE": base}
        second = Order("waker", "c" * 64, work / "waker", arguments)
        built = builder.build(second, steps.append)
    assert any("FROM" in step for step in steps)
    assert {base, built} <= builder.held()
    return built


def test_it_works(builder: Builder) -> None:
    about = builder.about()
    assert about.architecture in ("amd64", "arm64")
    assert int(about.version.partition(".")[0]) >= 4


def test_a_build_gets_pips_settings_and_the_image_only_what_it_copied(
    builder: Builder, image: str, tmp_path: Path
) -> None:
    command = ["sh", "-ec", "id -u; cat /seen; ls /run/secrets /etc/pip.conf || true"]
    builder.output(image, command, tmp_path / "printed")
    user, *seen = (tmp_path / "printed").read_text().splitlines()
    assert user == "0"
    index = "index-url = https://index.example"
    assert seen[:3] == ["[global]", index, "cert = /run/secrets/ca.crt"]
    assert seen[3:] == [AUTHORITY]


def test_the_digest_of_a_push_is_the_registrys_at_each_push(
    builder: Builder, image: str, registry: str
) -> None:
    for repository in ("first", "first", "second"):
        name = f"{builder.name}/{repository}/slipway/waker"
        digest = builder.push(image, f"{registry}/{name}:tag", plain_http=True)
        url = f"http://{registry}/v2/{name}/manifests/{digest}"
        accept = {"accept": ", ".join(MANIFEST_TYPES)}
        found = httpx.get(url, headers=accept, trust_env=False).raise_for_status()
        assert found.headers["docker-content-digest"] == digest
        assert found.json()["mediaType"] in MANIFEST_TYPES, "an image, not an index"


def test_a_loaded_image_is_found_by_its_digest(
    builder: Builder, image: str, nodes: ImageService, tmp_path: Path
) -> None:
    builder.save(image, tmp_path / "saved.tar")
    repository = f"{LOADED}/slipway/{builder.name}"
    archive = tmp_path / "image.tar"
    reference = oci_archive.convert(tmp_path / "saved.tar", archive, repository)
    assert not nodes.has(reference)
    for _ in range(2):
        nodes.load(archive)
        # The image service learns from an event of what was imported.
        wait_until(lambda: nodes.has(reference), 30, reference, pause=0.1)
