"""The table of images, their keys, their Containerfiles, and what a push writes."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.images import LOADED, REFERENCE
from slipway import images
from slipway.images import builds, lock, records, registry, table
from slipway.images import cli as image_cli
from slipway.images.builders import BUILDAH, Buildah
from slipway.images.inputs import Folder, Wheel, parse, place
from slipway.images.records import Record
from slipway.images.table import Image
from slipway.rendering.render import render
from toolchain import paths

NAMES = list(images.images())
FOLDERS = sorted(
    [path for path in table.FOLDER.iterdir() if path.is_dir()]
    + [path.parent for path in paths.ROOT.glob("models/*/Containerfile")]
    + [path.parent for path in paths.ROOT.glob("examples/*/Containerfile")]
)


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, rest) of an image's Containerfile, continued lines joined."""
    text = (images.images()[name].folder / "Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in kept]


def test_every_folder_has_its_entry_and_every_entry_its_folder() -> None:
    assert sorted(image.folder for image in images.images().values()) == FOLDERS
    assert NAMES[0] == "base", "others are built from it"


@pytest.mark.parametrize("name", NAMES)
def test_containerfile_runs_as_a_numeric_user_without_rights(name: str) -> None:
    users = [rest for word, rest in instructions(name) if word == "USER"]
    uid, _, gid = users[-1].partition(":")
    assert int(uid) > 10_000
    assert int(gid) > 10_000


@pytest.mark.parametrize("name", NAMES)
def test_containerfile_starts_from_what_the_table_says(name: str) -> None:
    froms = [rest for word, rest in instructions(name) if word == "FROM"]
    expected = "${BASE}" if images.images()[name].base else "scratch"
    assert {start.split(" AS ")[0] for start in froms} == {expected}
    arguments = [rest for word, rest in instructions(name) if word == "ARG"]
    assert set(arguments) <= {"BASE", "VERSION"}, "versions stand in images.toml only"


@pytest.mark.parametrize("name", NAMES)
def test_containerfile_is_reproducible_and_fetches_nothing_unpinned(name: str) -> None:
    text = (images.images()[name].folder / "Containerfile").read_text()
    for word in ("latest", "curl", "wget", "apt", "http://", "https://", "sudo"):
        assert not re.search(rf"\b{word}", text), word
    if "pip install" in text:
        assert "--no-deps" in text, "every version stands in requirements.txt"
        assert "--require-hashes" in text
        assert "requirements.lock" in text
        assert "--no-compile" in text, "pip's compiled files differ from run to run"
        assert "SOURCE_DATE_EPOCH=0 PYTHONHASHSEED=0" in text
        assert "--mount=type=secret,id=pip.conf,target=/etc/pip.conf" in text
        assert "--mount=type=secret,id=ca.crt" in text, "secrets.AUTHORITY_FILE"
        pins = (images.images()[name].folder / "requirements.txt").read_text()
        lines = [line for line in pins.splitlines() if not line.startswith("#")]
        exact = re.compile(r"[A-Za-z0-9_.-]+==[0-9.]+(?:post[0-9]+)?")
        assert all(exact.fullmatch(line) for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_containerfile_carries_the_standard_labels(name: str) -> None:
    labels = " ".join(rest for word, rest in instructions(name) if word == "LABEL")
    keys = ("title", "description", "version", "licenses")
    for key in keys:
        assert f"org.opencontainers.image.{key}=" in labels
    assert f'image.title="{name}"' in labels
    assert 'image.version="${VERSION}"' in labels


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_copied_and_every_copied_file_is_there(name: str) -> None:
    image = images.images()[name]
    copied: set[str] = set()
    for word, rest in instructions(name):
        if word in ("COPY", "ADD") and not rest.startswith("--from"):
            copied |= {source.rstrip("/") for source in rest.split()[:-1]}
    there = {path.split("/")[0] for path in image.files()} | set(image.inputs)
    assert copied <= there
    assert set(image.inputs) <= copied


SHARED = {"bounded_http", "pod_parts"}
"""Folders of this repository that programs of several images import."""


@pytest.mark.parametrize("name", NAMES)
def test_a_shared_folder_is_in_the_images_whose_programs_import_it(name: str) -> None:
    image = images.images()[name]
    words = re.compile(r"(?m)^\s*(?:from|import) (\w+)")
    files = [image.folder / path for path in image.files() if path.endswith(".py")]
    imported = {word for file in files for word in words.findall(file.read_text())}
    assert imported & SHARED == set(image.inputs) & SHARED
    last = next(
        place
        for place, (word, _) in reversed(list(enumerate(instructions(name))))
        if word == "FROM"
    )
    kept = [rest for word, rest in instructions(name)[last:] if word == "COPY"]
    for folder in imported & SHARED:
        assert f"--from=build /app/{folder} /app/{folder}" in kept


@pytest.mark.parametrize("name", NAMES)
def test_a_library_that_a_program_imports_is_pinned_for_it(name: str) -> None:
    image = images.images()[name]
    words = re.compile(r"(?m)^\s*(?:from|import) (\w+)")
    files = [image.folder / path for path in image.files() if path.endswith(".py")]
    imported = {word for file in files for word in words.findall(file.read_text())}
    chain = [image, *filter(None, [images.images().get(image.base)])]
    pins = [one.folder / "requirements.txt" for one in chain]
    pinned = "\n".join(it.read_text() for it in pins if it.is_file())
    for library in imported & {"prometheus_client", "httpx", "uvicorn"}:
        assert f"\n{library}==" in pinned


def test_an_image_stands_after_the_one_it_starts_from() -> None:
    for name, image in images.images().items():
        assert image.base in ("", *NAMES[: NAMES.index(name)]), name


def test_what_an_image_starts_from_is_built_before_it() -> None:
    every = images.images()
    chosen = [every["example-flask"], every["pause"], every["model-server"]]
    names = [image.name for image in builds._with_bases(chosen)]
    assert names == ["base", "model-server", "example-flask", "pause"]


def test_the_base_of_a_registry_is_pinned_by_digest() -> None:
    assert REFERENCE.fullmatch(table.base_source().public), "Podman wants the host too"


def test_a_model_image_does_not_depend_on_its_training_files() -> None:
    assert list(images.images()["employment"].files()) == ["Containerfile"]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image of a copied folder, with one input."""
    for name in ("Containerfile", "requirements.txt"):
        shutil.copy(table.FOLDER / "alert_recorder" / name, tmp_path)
    wheel = Wheel("tool==1", "bin/tool", dict.fromkeys(("amd64", "arm64"), "0" * 64))
    return Image(
        "alert-recorder",
        "1",
        base="base",
        tag="",
        inputs={"tool": wheel},
        folder=tmp_path,
    )


def test_the_key_follows_every_input(image: Image) -> None:
    keys = [builds.key(image, "base")]

    def changed(**changes: Any) -> None:
        keys.append(builds.key(dataclasses.replace(image, **changes), "base"))

    other = dict.fromkeys(("amd64", "arm64"), "1" * 64)
    keys.append(builds.key(image, "another base"))
    changed(version="2")
    changed(inputs={"tool": Wheel("tool==1", "bin/tool", other)})
    changed(inputs={"renamed": image.inputs["tool"]})
    program = image.folder / "requirements.txt"
    program.write_text(program.read_text() + "# changed\n")
    keys.append(builds.key(image, "base"))
    program.chmod(0o755)
    keys.append(builds.key(image, "base"))
    (image.folder / "new.py").touch()
    keys.append(builds.key(image, "base"))
    assert len(set(keys)) == len(keys)


def test_the_key_ignores_what_is_not_in_the_image(image: Image) -> None:
    before = builds.key(image, "base")
    (image.folder / "__pycache__").mkdir()
    (image.folder / "__pycache__" / "x.pyc").touch()
    (image.folder / ".mypy_cache").mkdir()
    (image.folder / ".mypy_cache" / "x.json").touch()
    (image.folder / "README.md").write_text("words")
    assert builds.key(image, "base") == before


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(images.ImageError, match=r"no image nope in .* pause, coredns"):
        images.build(["nope"])


def test_a_wrong_input_is_refused_with_its_place() -> None:
    with pytest.raises(images.ImageError, match=r"x\.inputs\.y: needs exactly one"):
        parse("images.x.inputs.y", {"path": "a"})
    with pytest.raises(images.ImageError, match=r"images.x.inputs.y: .*'member'"):
        parse("images.x.inputs.y", {"wheel": "a==1", "sha256": "0"})


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage of two images that were built already."""
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(tmp_path / "images.lock"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "build", lambda *_: [])
    for name in ("pause", "coredns"):
        (BUILDAH.home / "root" / "overlay-images" / name).mkdir(parents=True)
        records.keep(BUILDAH, name, Record(f"key-of-{name}", name))
    return tmp_path


class FakeRegistry(BaseHTTPRequestHandler):
    """Holds the manifests that `held` names; notes what it was asked."""

    held: set[str]

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_HEAD(self) -> None:
        name, _, digest = self.path.removeprefix("/v2/").rpartition("/manifests/")
        self.send_response(200 if f"{name}@{digest}" in self.held else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[registry.Registry]:
    FakeRegistry.held = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeRegistry) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def push(_: Buildah, image_id: str, target: str, *, plain_http: bool) -> str:
            digest = "sha256:" + f"{len(image_id):064x}"
            assert target == f"{host}/slipway/{image_id}:key-of-{image_id}"
            assert plain_http, "it is on loopback"
            FakeRegistry.held.add(f"slipway/{image_id}@{digest}")
            return digest

        monkeypatch.setattr(Buildah, "push", push)
        host = f"127.0.0.1:{server.server_port}"
        yield registry.Registry(host, "registry.lab:5000")
        server.shutdown()
        thread.join()


def test_a_push_writes_digests_and_a_second_one_pushes_nothing(
    storage: Path, target: registry.Registry
) -> None:
    names = ["pause", "coredns"]
    first = images.push(target, names)
    assert first == {
        "pause": f"registry.lab:5000/slipway/pause@sha256:{5:064x}",
        "coredns": f"registry.lab:5000/slipway/coredns@sha256:{7:064x}",
    }
    assert json.loads(lock.lock_path().read_text()) == first
    assert images.push(target, names) == {}
    assert json.loads(lock.lock_path().read_text()) == first
    assert list(storage.glob("*.part")) == []


def test_what_the_registry_has_lost_is_pushed_again(
    storage: Path, target: registry.Registry
) -> None:
    images.push(target, ["pause", "coredns"])
    FakeRegistry.held = {name for name in FakeRegistry.held if "pause" in name}
    assert list(images.push(target, ["pause", "coredns"])) == ["coredns"]


def test_pushing_some_keeps_the_others_in_the_lock(
    storage: Path, target: registry.Registry
) -> None:
    images.push(target, ["pause"])
    images.push(target, ["coredns"])
    assert sorted(lock.read()) == ["coredns", "pause"]


def test_a_silent_registry_is_named_with_the_fix(storage: Path) -> None:
    closed = registry.Registry("127.0.0.1:9", "registry.lab:5000")
    with pytest.raises(images.ImageError, match=r"no registry at 127.0.0.1:9 .*lab up"):
        images.push(closed, ["pause"])


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("127.0.0.1:5000", True),
        ("localhost:5000", True),
        ("[::1]:5000", True),
        ("registry.example:5000", False),
        ("10.0.0.1:5000/team", False),
        ("registry.example", False),
    ],
)
def test_plain_http_is_spoken_on_loopback_only(host: str, plain: bool) -> None:
    assert registry.Registry.at(host).is_plain is plain
    assert registry.Registry.at(host, plain_http=True).is_plain


def test_docker_hub_is_refused_before_anything_is_built() -> None:
    hub = registry.Registry.at("docker.io/team")
    with pytest.raises(images.ImageError, match="no repositories below"):
        images.push(hub, ["pause"])


def test_without_names_another_registry_gets_no_images_of_the_lab() -> None:
    every = {image.name for image in table.select(None)}
    theirs = {image.name for image in table.select(None, lab=False)}
    assert "model-server" in theirs
    assert every - theirs >= {"base", "pause", "compose-tools"}
    named = table.select(["pause"], lab=False)
    assert [image.name for image in named] == ["pause"]


def test_stacks_of_a_cluster_of_ones_own_need_no_image_of_the_lab() -> None:
    loaded = {
        image.name: f"{LOADED}/{image.repository}@sha256:" + 64 * "0"
        for image in table.select(None, lab=False)
    }
    for stack in ("platform.mine", "models.mine"):
        rendered = render(stack, images=loaded)
        text = "".join(rendered.files(secrets=False).values())
        assert LOADED in text
        assert "imagePullPolicy: Always" not in text, "kind's nodes have no registry"


def test_a_record_whose_image_is_gone_does_not_count(storage: Path) -> None:
    assert set(records.read(BUILDAH)) == {"pause", "coredns"}
    shutil.rmtree(BUILDAH.home / "root" / "overlay-images" / "pause")
    assert set(records.read(BUILDAH)) == {"coredns"}


def test_a_mirrored_image_is_locked_by_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(tmp_path / "images.lock"))
    lock.write({"pause": "a.example/pause@sha256:" + 64 * "0"})
    mirrored = "a.example/mirror/karpenter@sha256:" + 64 * "1"
    run = CliRunner().invoke
    assert run(image_cli.command, ["lock", "karpenter", mirrored]).exit_code == 0
    assert lock.read()["karpenter"] == mirrored
    assert "pause" in lock.read()
    tagged = run(image_cli.command, ["lock", "karpenter", "a.example/karpenter:1"])
    assert tagged.exit_code == 1
    assert "not a reference by digest" in tagged.output
    ours = run(image_cli.command, ["lock", "pause", mirrored])
    assert ours.exit_code == 1
    assert "is built here" in ours.output
    assert "karpenter" in run(image_cli.command, ["list"]).output


def test_the_model_servers_readme_names_each_adapter() -> None:
    folder = paths.ROOT / "images/model_server"
    told = (folder / "README.md").read_text()
    for module in ("fastapi.py", "flask.py", "django.py"):
        assert (folder / "model_server/adapters" / module).is_file()
        assert f"- `{module}`" in told


def test_a_folder_that_several_images_have_comes_without_compiled_files(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    (shared / "__pycache__").mkdir(parents=True)
    (shared / "a.py").write_text("A = 1\n")
    folder = Folder(str(shared))
    before = folder.identity()
    (shared / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert folder.identity() == before
    place(shared, tmp_path / "target")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["a.py"]
    (shared / "a.py").write_text("A = 2\n")
    assert folder.identity() != before
