"""What the two sides of a comparison may be, and what the judge never follows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from slipway.preview import comparison, rendering, sides
from slipway.preview.sides import Side
from stacks import files, image_lock
from toolchain import paths
from toolchain.errors import WrongInputError

STACK = "models.mine"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for folder in ("policies", files.CONFIG_FOLDER, ".venv/bin", "components"):
        (root / folder).mkdir(parents=True)
    (root / "Pulumi.yaml").write_text("name: mine\n")
    files.path(STACK, root).write_text("config: {}\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "notes.yaml").write_text("rules: {}\n")
    return root


def given(root: Path) -> Side:
    return sides.side(str(root), root.parent / "unused")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("policies/own.yaml", "../../outside/notes.yaml"),
        ("policies/own.yaml", "/etc/hostname"),
        ("stacks/config/Pulumi.models.other.yaml", "{outside}/notes.yaml"),
        ("stacks/more", "../../outside"),
        ("components/a.py", "../../outside/not-there-yet"),
        ("components/a.py", "../../checkout-2/a.py"),
        ("components/a.py", "../images.lock"),
    ],
)
def test_a_folder_with_a_link_that_leads_out_is_refused(
    name: str, target: str, checkout: Path
) -> None:
    target = target.format(outside=checkout.parent / "outside")
    (checkout / name).symlink_to(target)
    (checkout / "images.lock").symlink_to("../outside/notes.yaml")
    with pytest.raises(WrongInputError) as caught:
        given(checkout)
    assert str(caught.value) == (
        f"{checkout}: {name!r}, a link to {target!r}\n"
        "  reason: it leads out of the checkout\n"
        "  fix: make it a relative link within the checkout, or remove it"
    )


def test_links_within_a_folder_and_those_of_tools_are_none_of_these(
    checkout: Path,
) -> None:
    (checkout / "policies" / "own.yaml").symlink_to("../Pulumi.yaml")
    (checkout / "policies" / "all").symlink_to(checkout / "stacks")
    (checkout / "policies" / "loop").symlink_to("loop")
    (checkout / ".venv" / "bin" / "python").symlink_to("/usr/bin/python3")
    assert given(checkout).folder == checkout


def test_a_folder_that_is_a_link_itself_is_followed(checkout: Path) -> None:
    link = checkout.parent / "link"
    link.symlink_to(checkout)
    assert sides.side(str(link), link.parent / "unused").folder == checkout


def test_a_pipe_is_refused(checkout: Path) -> None:
    """Reading it would wait for a writer."""
    os.mkfifo(checkout / "policies" / "own.yaml")
    with pytest.raises(WrongInputError, match="a pipe, a socket or a device"):
        given(checkout)


def test_a_link_that_heads_code_makes_while_it_renders_is_refused(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(*_: object) -> rendering.Rendered:
        (checkout / "policies" / "own.yaml").symlink_to("/etc/hostname")
        return rendering.Rendered([{STACK: ()}, {STACK: ()}], "")

    monkeypatch.setattr(rendering, "render", render)
    side = given(checkout)
    with pytest.raises(WrongInputError, match="leads out of the checkout"):
        comparison.compare(side, side, [STACK], (None, None), checkout.parent / "work")


@pytest.mark.parametrize("name", ["images.lock", "links/notes.yaml"])
def test_a_lock_file_is_not_followed_out_of_the_checkout(
    name: str, checkout: Path
) -> None:
    (checkout / "images.lock").symlink_to("../outside/notes.yaml")
    (checkout / "links").symlink_to("../outside")
    ours = {image_lock.FIELD: name}
    (problem,) = image_lock.problems(ours, checkout)
    assert problem.reason.startswith("it is outside the checkout")
    assert image_lock.of(ours, checkout).file is None


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "loop"])
def test_a_lock_file_of_an_impossible_name_is_not_there(
    name: str, checkout: Path
) -> None:
    (checkout / "loop").symlink_to("loop")
    (problem,) = image_lock.problems({image_lock.FIELD: name}, checkout)
    assert problem.reason == "there is no such file in the checkout"


def test_a_lock_file_of_too_many_levels_cannot_be_read(checkout: Path) -> None:
    (checkout / "deep.lock").write_text("[" * 5000 + "]" * 5000)
    (problem,) = image_lock.problems({image_lock.FIELD: "deep.lock"}, checkout)
    assert problem.reason.startswith("it cannot be read: ")


@pytest.fixture
def repository(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    commit(checkout)
    monkeypatch.setattr(paths, "ROOT", checkout)
    return checkout


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "commit", "-qam", "a")


def test_a_revision_has_all_files_whatever_its_attributes_say(
    repository: Path, tmp_path: Path
) -> None:
    """A change could leave a stack file out of an archive, and thereby the report."""
    (repository / ".gitattributes").write_text("stacks export-ignore\n")
    git(repository, "add", ".")
    commit(repository)
    before = git(repository, "status", "--porcelain")
    found = sides.side("HEAD", tmp_path / "head")
    assert files.path(STACK, found.folder).read_text() == "config: {}\n"
    assert git(repository, "status", "--porcelain") == before
    assert not (found.folder / ".git").exists()


def test_a_project_in_a_folder_of_a_repository_is_taken_by_itself(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", repository / "stacks")
    found = sides.side("HEAD", tmp_path / "head")
    assert [it.name for it in found.folder.iterdir()] == ["config"]


def test_a_hook_of_the_repository_is_not_run(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    sides.side("HEAD", tmp_path / "head")
    assert not (tmp_path / "ran").exists()


def test_a_repository_that_lacks_objects_is_reported(
    repository: Path, tmp_path: Path
) -> None:
    """As after an interrupted fetch, or in a partial clone without its server."""
    name = git(repository, "rev-parse", "HEAD:Pulumi.yaml")
    (repository / ".git" / "objects" / name[:2] / name[2:]).unlink()
    with pytest.raises(WrongInputError) as caught:
        sides.side("HEAD", tmp_path / "head")
    assert f"git checkout-index failed in {repository}: " in str(caught.value)
    assert "git fetch --unshallow" in str(caught.value)


def test_a_shallow_clone_says_that_it_lacks_the_revision(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = git(repository, "rev-parse", "HEAD")
    (repository / "Pulumi.yaml").write_text("name: other\n")
    commit(repository)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", str(clone))
    monkeypatch.setattr(paths, "ROOT", clone)
    for revision in (first, "HEAD~1"):
        with pytest.raises(WrongInputError, match="a shallow clone lacks older"):
            sides.side(revision, tmp_path / "head")


@pytest.mark.parametrize("given", ["a" * 300, "--all", "", "HEAD:Pulumi.yaml", "a b"])
def test_a_name_that_cannot_be_a_revision_is_reported(
    given: str, repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(WrongInputError, match="neither a folder nor a revision"):
        sides.side(given, tmp_path / "head")


def test_without_git_or_a_repository_there_is_no_revision(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", checkout)
    with pytest.raises(WrongInputError, match="neither a folder nor a revision"):
        sides.side("HEAD", tmp_path / "head")
    one = Side("a", tmp_path)
    assert sides.judge(one, one) == "other"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WrongInputError, match="there is no program git"):
        sides.side("HEAD", tmp_path / "head")
