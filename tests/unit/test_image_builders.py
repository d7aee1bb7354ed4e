"""Docker, Podman and buildah: how they are called and chosen, and their errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.images import builders
from slipway.images.builders import BUILDERS, Builder, BuilderError, Order, secrets
from tests.support import fake_builders
from tests.support.fake_builders import Fake, digest_of
from toolchain import downloads

KEY = "0123456789abcdef" * 4
TARGET = "registry.example/team/slipway/waker:0123456789abcdef"
TAG = "slipway/waker:0123456789abcdef"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "architecture", lambda: "amd64")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return tmp_path


@pytest.fixture(autouse=True)
def pip(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Pip's settings on this machine."""
    settings: dict[str, str] = {"index-url": "https://index.example/simple"}
    monkeypatch.setattr(secrets, "pip_settings", lambda: settings)
    return settings


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An image whose build asks for pip's settings."""
    context = tmp_path / "context"
    context.mkdir()
    mounts = "--mount=type=secret,id=pip.conf --mount=type=secret,id=ca.crt"
    (context / "Containerfile").write_text(f"FROM scratch\nRUN {mounts} pip\n")
    return Order("waker", KEY, context, {"VERSION": "1"})


@pytest.fixture(params=BUILDERS)
def pair(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Builder, Fake]:
    """Each builder, with its program."""
    (fake,) = fake_builders.install(tmp_path / "bin", monkeypatch, request.param)
    return BUILDERS[request.param], fake


def test_what_is_built_is_held_pushed_by_digest_and_saved(
    pair: tuple[Builder, Fake], order: Order, said: list[str], tmp_path: Path
) -> None:
    builder, _ = pair
    image = builder.build(order, said.append)
    docker = builder.name == "docker"
    assert said == [f"step {'[1/1]' if docker else '1/1:'} FROM scratch"]
    if builder.name == "buildah":  # which looks at its own disk
        (builder.home / "root/overlay-images" / image).mkdir(parents=True)
    assert image in builder.held()
    digest = builder.push(image, TARGET, plain_http=False)
    assert digest == digest_of(TARGET)
    builder.save(image, tmp_path / "saved.tar")
    assert (tmp_path / "saved.tar").stat().st_size > 0


def test_an_image_starts_from_one_that_was_built_or_pulled(
    pair: tuple[Builder, Fake], order: Order, said: list[str]
) -> None:
    builder, _ = pair
    reference = "docker.io/library/python:3.11@sha256:" + 64 * "a"
    base = builder.pull(reference, KEY, 60)
    on_it = Order("waker", KEY, order.context, {"VERSION": "1", "BASE": base})
    other = Order("more", KEY, order.context, {"BASE": builder.build(on_it, print)})
    builder.build(other, said.append)
    assert "FROM" in said[0]


def test_docker_is_called_with_these_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    (docker,) = fake_builders.install(tmp_path / "bin", monkeypatch, "docker")
    builder = BUILDERS["docker"]
    builder.push(builder.build(order, print), TARGET, plain_http=True)
    builder.save(TAG, tmp_path / "saved.tar")
    builder.output(TAG, ["sh", "-ec", "true"], tmp_path / "printed")
    (build,) = docker.called("build")
    secret = build.index("--secret")
    assert build[:secret] == [
        *("build", "--tag", TAG, "--build-arg", "VERSION=1"),
        *("--file", str(order.containerfile)),
    ]
    assert build[secret + 1].startswith("id=pip.conf,src=/")
    assert build[-1] == str(order.context)
    assert docker.called("tag") == [["tag", TAG, TARGET]]
    assert docker.called("push") == [["push", TARGET]]
    saved = str(tmp_path / "saved.tar")
    assert docker.called("save") == [["save", "--output", saved, TAG]]
    words = ["run", "--rm", "--user", "0:0", TAG, "sh", "-ec", "true"]
    assert docker.called("run") == [words]


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_podman_and_buildah_push_alike(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    (fake,) = fake_builders.install(tmp_path / "bin", monkeypatch, name)
    image = BUILDERS[name].build(order, print)
    BUILDERS[name].push(image, TARGET, plain_http=True)
    BUILDERS[name].push(image, TARGET, plain_http=False)
    plain, encrypted = fake.called("push")
    assert "--tls-verify=false" in plain
    assert "--tls-verify=true" in encrypted
    assert plain[-2:] == [image, f"docker://{TARGET}"]
    (build,) = fake.called("build")
    assert build[1:4] == ["--layers", "--timestamp", "0"], "the same bytes each time"


def test_a_build_by_docker_that_names_no_digest_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    fake_builders.install(tmp_path / "bin", monkeypatch, "docker", digest=False)
    image = BUILDERS["docker"].build(order, print)
    with pytest.raises(BuilderError, match=r"named no digest.*\n.*refers to"):
        BUILDERS["docker"].push(image, TARGET, plain_http=False)


def test_a_failed_build_shows_the_image_and_the_last_lines(
    pair: tuple[Builder, Fake], order: Order
) -> None:
    builder, fake = pair
    fake.set(fails="build")
    with pytest.raises(BuilderError) as caught:
        builder.build(order, print)
    first, *lines = str(caught.value).splitlines()
    assert first == f"waker: {builder.name} build ended with 1:"
    assert lines[-1] == "what went wrong"


def test_auto_takes_the_first_that_works_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    fakes = fake_builders.install(tmp_path / "bin", monkeypatch, *BUILDERS)
    assert builders.choose("auto", said.append).name == "docker"
    fakes[0].set(down=True)
    assert builders.choose("auto", said.append).name == "podman"
    fakes[1].set(fails="info")
    assert builders.choose("auto", said.append).name == "buildah"
    why = "docker: Cannot connect to the Docker daemon at unix:///x"
    assert said == [
        "building with docker 28.2.2",
        f"building with podman 4.3.1 ({why})",
        f"building with buildah 1.28.2 ({why}; podman: what went wrong)",
    ]


def test_without_a_builder_the_error_names_all_three_and_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_builders.install(tmp_path / "bin", monkeypatch, "docker", down=True)
    with pytest.raises(BuilderError) as caught:
        builders.choose("auto", print)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("none of docker, podman, buildah works here")
    assert lines == [
        "  docker: Cannot connect to the Docker daemon at unix:///x",
        "    get it: https://docs.docker.com/get-started/get-docker/",
        "  podman is not on PATH",
        "    get it: https://podman.io/docs/installation",
        "  buildah is not on PATH",
        "    get it: `apt-get install buildah` or `dnf install buildah` (Linux only)",
    ]


def test_a_named_builder_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_builders.install(tmp_path / "bin", monkeypatch, "docker")
    with pytest.raises(BuilderError, match=r"podman does not work here.*\n.*on PATH"):
        builders.choose("podman", print)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"buildx": False}, "docker 28.2.2 has no buildx.*docker-buildx-plugin"),
        ({"system": "windows"}, "switch Docker Desktop to Linux containers"),
        ({"architecture": "aarch64"}, "for arm64, but this machine is amd64"),
    ],
)
def test_a_docker_that_cannot_build_our_images_is_refused(
    facts: dict[str, object],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_builders.install(tmp_path / "bin", monkeypatch, "docker", **facts)
    with pytest.raises(BuilderError, match=reason):
        builders.choose("docker", print)


def test_an_older_docker_builds_without_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    fake_builders.install(
        tmp_path / "bin", monkeypatch, "docker", version="20.10.24", buildx=False
    )
    assert builders.choose("docker", said.append).name == "docker"
    assert said == ["building with docker 20.10.24"]


def test_a_command_in_an_image_leaves_no_container(
    pair: tuple[Builder, Fake], tmp_path: Path
) -> None:
    builder, fake = pair
    fake.set(printed=b"\x00\xff".hex())
    builder.output("image", ["sh", "-ec", "true"], tmp_path / "printed")
    assert (tmp_path / "printed").read_bytes() == b"\x00\xff"
    if builder.name == "buildah":
        assert fake.called("rm") == [["rm", "working-container"]]
    else:
        assert "--rm" in fake.called("run")[0]


def test_buildah_removes_its_container_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (buildah,) = fake_builders.install(
        tmp_path / "bin", monkeypatch, "buildah", fails="run"
    )
    with pytest.raises(BuilderError, match="what went wrong"):
        BUILDERS["buildah"].output("image", ["false"], tmp_path / "printed")
    assert buildah.called("rm") == [["rm", "working-container"]]


def test_pip_settings_and_the_authority_are_secrets_of_a_build(
    order: Order, tmp_path: Path, pip: dict[str, str]
) -> None:
    authority = tmp_path / "authority.pem"
    authority.touch()
    pip.update({"cert": str(authority), "find-links": "/nowhere"})
    with secrets.pip_secrets(order.containerfile) as options:
        first, second = options[1], options[3]
        settings = Path(first.removeprefix("id=pip.conf,src="))
        assert settings.stat().st_mode & 0o777 == 0o600
        assert settings.read_text().splitlines() == [
            "[global]",
            "index-url = https://index.example/simple",
            "cert = /run/secrets/ca.crt",
        ]
    assert second == f"id=ca.crt,src={authority}"
    assert not settings.exists()


def test_a_build_without_pip_gets_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    with secrets.pip_secrets(tmp_path / "Containerfile") as options:
        assert options == []


def test_the_environment_wins_over_files_as_it_does_in_pip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example\ntimeout = 7\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment.example")
    found = secrets.pip_settings()
    assert found["index-url"] == "https://environment.example"
    assert found["timeout"] == "7"
