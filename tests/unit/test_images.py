"""The table of images, their keys, their Containerfiles, and what a push writes."""

from __future__ import annotations

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

from slipway import images
from slipway.images import buildah, builder, lock, records, registry, table
from slipway.images import cli as image_cli
from slipway.images.inputs import Wheel, parse
from slipway.images.records import Record
from slipway.images.table import Image
from toolchain import paths

NAMES = list(images.images())
FOLDERS = sorted(path for path in table.FOLDER.iterdir() if path.is_dir())


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
        pins = (images.images()[name].folder / "requirements.txt").read_text()
        lines = [line for line in pins.splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9.]+", line) for line in lines)


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


def test_an_image_stands_after_the_one_it_starts_from() -> None:
    for name, image in images.images().items():
        assert image.base in ("", *NAMES[: NAMES.index(name)]), name


def test_what_an_image_starts_from_is_built_before_it() -> None:
    every = images.images()
    chosen = [every["example-flask"], every["pause"], every["model-server"]]
    names = [image.name for image in builder._with_bases(chosen)]
    assert names == ["base", "model-server", "example-flask", "pause"]


def test_the_base_of_a_registry_is_pinned_by_digest() -> None:
    assert re.fullmatch(r"[a-z:0-9.-]+@sha256:[0-9a-f]{64}", table.base_source().public)


def test_a_model_image_does_not_depend_on_its_training_files() -> None:
    assert list(images.images()["employment"].files()) == ["Containerfile"]


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    """An image of a copied folder, with one input."""
    (tmp_path / "alert_recorder").mkdir()
    for name in ("Containerfile", "alert_recorder.py"):
        source = table.FOLDER / "alert_recorder" / name
        shutil.copy(source, tmp_path / "alert_recorder")
    monkeypatch.setattr(table, "FOLDER", tmp_path)
    wheel = Wheel("tool==1", "bin/tool", "0" * 64)
    return Image("alert-recorder", "1", base="base", tag="", inputs={"tool": wheel})


def test_the_key_follows_every_input(image: Image) -> None:
    keys = [builder.key(image, "base")]

    def changed(**changes: Any) -> None:
        fields = {
            "name": image.name,
            "version": image.version,
            "base": image.base,
            "tag": image.tag,
            "inputs": image.inputs,
        }
        keys.append(builder.key(Image(**(fields | changes)), "base"))

    keys.append(builder.key(image, "another base"))
    changed(version="2")
    changed(inputs={"tool": Wheel("tool==1", "bin/tool", "1" * 64)})
    changed(inputs={"renamed": image.inputs["tool"]})
    program = image.folder / "alert_recorder.py"
    program.write_text(program.read_text() + "# changed\n")
    keys.append(builder.key(image, "base"))
    program.chmod(0o755)
    keys.append(builder.key(image, "base"))
    (image.folder / "new.py").touch()
    keys.append(builder.key(image, "base"))
    assert len(set(keys)) == len(keys)


def test_the_key_ignores_what_is_not_in_the_image(image: Image) -> None:
    before = builder.key(image, "base")
    (image.folder / "__pycache__").mkdir()
    (image.folder / "__pycache__" / "x.pyc").touch()
    (image.folder / ".mypy_cache").mkdir()
    (image.folder / ".mypy_cache" / "x.json").touch()
    (image.folder / "README.md").write_text("words")
    assert builder.key(image, "base") == before


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(images.ImageError, match=r"no image nope in .* pause, coredns"):
        images.build(["nope"])


def test_a_wrong_input_is_refused_with_its_place() -> None:
    with pytest.raises(images.ImageError, match=r"x\.inputs\.y: needs exactly one"):
        parse("images.x.inputs.y", {"path": "a"})
    with pytest.raises(images.ImageError, match=r"images.x.inputs.y: .*'member'"):
        parse("images.x.inputs.y", {"wheel": "a==1", "sha256": "0"})


def test_missing_buildah_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(images.ImageError, match="apt-get install buildah"):
        buildah.run(["version"], "test")


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage of two images that were built already."""
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(tmp_path / "images.lock"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "build", lambda *_: [])
    for name in ("pause", "coredns"):
        (buildah.home() / "root" / "overlay-images" / name).mkdir(parents=True)
        records.keep(name, Record(f"key-of-{name}", name))
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

        def push(arguments: list[str], what: str) -> None:
            digest = "sha256:" + f"{len(what):064x}"
            arguments_by_position = arguments[-2:]
            assert arguments_by_position[0] == what, "the image's id"
            Path(arguments[arguments.index("--digestfile") + 1]).write_text(digest)
            FakeRegistry.held.add(f"slipway/{what}@{digest}")

        monkeypatch.setattr(buildah, "run", push)
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


def test_pip_settings_hold_the_index_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    lines = buildah.pip_configuration().splitlines()
    assert lines[0] == "[global]"
    assert "index-url = https://index.example/simple" in lines
    assert not any("find-links" in line for line in lines)


def test_a_record_whose_image_is_gone_does_not_count(storage: Path) -> None:
    assert set(records.read()) == {"pause", "coredns"}
    shutil.rmtree(buildah.home() / "root" / "overlay-images" / "pause")
    assert set(records.read()) == {"coredns"}


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
