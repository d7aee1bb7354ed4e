"""What images need of the machine: refused at once where it is missing, or replaced."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from slipway.images import ImageError, builds, cli, contained_packages, feasible, images
from slipway.images import registry as registries
from slipway.images.builders import BUILDAH, BUILDERS
from slipway.images.builds import Means
from slipway.images.inputs import Binary, Debian, RootFs, Wheel, parse
from slipway.images.table import Image
from toolchain import downloads, go, mirror, packages, programs

DOCKER = Means(BUILDERS["docker"])


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Debian's tools and without Go, whose cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(go, "_version", "")
    monkeypatch.delenv(builds.BASE_VARIABLE, raising=False)
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    monkeypatch.setattr(packages, "KEYRING", str(tmp_path / "none.gpg"))


def test_what_a_cluster_of_ones_own_needs_can_be_made_without_debian_and_go() -> None:
    theirs = [one for one in images().values() if not (one.lab or one.on_demand)]
    assert {one.name for one in theirs} >= {"model-server", "envoy", "prometheus"}
    feasible.check(theirs, DOCKER)


def test_images_that_cannot_be_made_are_named_with_the_reason_and_the_others() -> None:
    chosen = [images()[name] for name in ("pause", "waker", "postgres")]
    with pytest.raises(ImageError) as caught:
        feasible.check(chosen, DOCKER)
    head, pause, postgres, last = str(caught.value).splitlines()
    assert head == "2 images cannot be made on this machine, nothing was touched:"
    assert pause.startswith("  pause: go is not on PATH")
    assert postgres.startswith("  postgres: it is made by mmdebstrap")
    assert last == "To do the others, name them: waker"


def test_a_base_of_debian_needs_mmdebstrap() -> None:
    with pytest.raises(ImageError, match=r"base: .*mmdebstrap.*\n.*--base public"):
        feasible.check([images()["waker"]], Means(BUILDERS["docker"], "debian"))
    feasible.check([images()["waker"]], Means(BUILDERS["docker"], "public"))


def test_go_is_not_needed_for_what_its_publisher_offers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Binary("envoy-gateway/envoy-gateway").obstacle() == ""
    monkeypatch.setenv(programs.VARIABLE, "build")
    assert "go is not on PATH" in Binary("envoy-gateway/envoy-gateway").obstacle()


def test_a_wheel_is_for_the_architectures_that_are_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    envoy = images()["envoy"].inputs["envoy"]
    assert isinstance(envoy, Wheel)
    for architecture in ("amd64", "arm64"):
        monkeypatch.setattr(downloads, "architecture", lambda a=architecture: a)
        assert envoy.obstacle() == ""
    monkeypatch.setattr(downloads, "architecture", lambda: "riscv64")
    assert envoy.obstacle().endswith("for amd64, arm64 only, and this is riscv64")
    with pytest.raises(ImageError, match="this is riscv64"):
        envoy.make()


def test_a_root_file_system_that_was_made_needs_nothing(tmp_path: Path) -> None:
    source = images()["postgres"].inputs["rootfs.tar"]
    assert isinstance(source, RootFs)
    assert source.obstacle()
    (tmp_path / "slipway/rootfs").mkdir(parents=True)
    (tmp_path / f"slipway/rootfs/image-{source.identity()}.tar").touch()
    assert source.obstacle() == ""


def test_a_root_file_system_is_of_a_suite_that_is_known() -> None:
    with pytest.raises(ImageError, match="suite is sid, not one of bookworm"):
        parse("images.x", {"rootfs": ["python3"], "suite": "sid"})
    torch = images()["train-torch"].inputs["rootfs.tar"]
    assert isinstance(torch, RootFs)
    assert torch.suite == "trixie"
    assert RootFs(torch.rootfs).suite == "bookworm"


# Debian packages in a container


@dataclass
class Container:
    """A builder whose containers print a tar of two packages."""

    commands: list[list[str]] = field(default_factory=list)
    printed: bytes = b""

    def output(self, image_id: str, command: Sequence[str], target: Path) -> None:
        assert image_id == "base-id"
        self.commands.append(list(command))
        target.write_bytes(self.printed)


def tar(files: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return file.getvalue()


def image(*sources: Debian) -> Image:
    inputs = {source.path: source for source in sources}
    return Image("x", "1", base="base", tag="", inputs=inputs, folder=Path("x"))


PROMETHEUS = Debian("trixie/prometheus", "usr/bin/prometheus")
PROMTOOL = Debian("trixie/promtool", "usr/bin/promtool")
NFT = Debian("bookworm/nftables", "usr/sbin/nft")


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Container:
    folder = shutil.which("tar", path="/usr/bin:/bin")
    assert folder
    monkeypatch.setenv("PATH", str(Path(folder).parent))
    monkeypatch.setattr(packages, "has_apt", lambda: False)
    monkeypatch.setattr(packages, "_architecture", lambda: "amd64")
    return Container(
        printed=tar(
            {
                "prometheus/usr/bin/prometheus": "server",
                "promtool/usr/bin/promtool": "tool",
            }
        )
    )


def test_without_apt_packages_are_asked_for_by_suite(container: Container) -> None:
    chosen = [image(PROMTOOL, PROMETHEUS, PROMETHEUS), image(NFT)]
    wanted = contained_packages.wanted(chosen)
    assert {suite: [pin.name for pin in pins] for suite, pins in wanted.items()} == {
        "trixie": ["prometheus", "promtool"],
        "bookworm": ["nftables"],
    }


def test_what_a_container_unpacked_is_found_as_if_apt_had_fetched_it(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(contained_packages.MIRROR_VARIABLE, "http://mirror.example/d/")
    wanted = contained_packages.wanted([image(PROMETHEUS, PROMTOOL)])
    builder: Any = container
    contained_packages.fetch(wanted, builder, "base-id", lambda *_: None)
    (command,) = container.commands
    assert command[:2] == ["sh", "-ec"]
    assert command[4:7] == ["http://mirror.example/d", mirror.KEYRING, "trixie"]
    pins = (PROMETHEUS.pin, PROMTOOL.pin)
    assert command[7:] == [f"{it.name}={it.version}={it.sha256}" for it in pins]
    assert PROMETHEUS.make().read_text() == "server"
    assert PROMTOOL.make().read_text() == "tool"
    assert PROMETHEUS.version() == PROMETHEUS.pin.version.partition("+")[0]
    assert contained_packages.wanted([image(PROMETHEUS, PROMTOOL)]) == {}


def test_a_machine_with_apt_asks_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "has_apt", lambda: True)
    assert contained_packages.wanted([image(PROMETHEUS)]) == {}


def test_debians_apt_is_used_only_with_debians_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("apt-get", "dpkg", "dpkg-deb"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not packages.has_apt(), "another distribution's"
    monkeypatch.setattr(packages, "KEYRING", str(tmp_path / "apt-get"))
    assert packages.has_apt()


# The command


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], None),
        (["--registry", "registry.example/team"], "auto"),
        (["--registry", "registry.example/team", "--builder", "podman"], "podman"),
        (["--builder", "docker", "--base", "debian"], "docker"),
    ],
)
def test_the_lab_is_built_by_buildah_and_other_registries_by_what_works(
    words: list[str], wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def choose(name: str, _: object) -> object:
        asked.append(name)
        return BUILDERS["docker"]

    def push(*given: Any) -> dict[str, str]:
        asked.append(given[-1])
        return {}

    monkeypatch.setattr(cli, "choose", choose)
    monkeypatch.setattr(cli, "push", push)
    done = CliRunner().invoke(cli.command, ["push", *words, "waker"])
    assert done.exit_code == 0, done.output
    if wanted is None:
        assert asked == [Means(BUILDAH, "")]
    else:
        assert asked[0] == wanted
        assert asked[1].base == ("debian" if "debian" in words else "")


def test_without_a_command_the_lab_gets_its_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []

    def push(*words: Any) -> dict[str, str]:
        given.extend(words)
        return {}

    monkeypatch.setattr(cli, "push", push)
    done = CliRunner().invoke(cli.command, [])
    assert done.exit_code == 0, done.output
    assert given[0] is None
    assert given[3] == Means(BUILDAH, "")


def test_nothing_is_built_for_a_registry_that_cannot_be_pushed_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[str] = []
    monkeypatch.setattr(registries, "build", lambda *_: built.append("x"))
    closed = registries.Registry.at("127.0.0.1:9")
    with pytest.raises(ImageError, match="no registry"):
        registries.push(closed, ["waker"], means=DOCKER)
    monkeypatch.setattr(registries.Registry, "check", lambda _: None)
    with pytest.raises(ImageError, match="cannot be made"):
        registries.push(closed, ["pause"], means=DOCKER)
    assert built == []
