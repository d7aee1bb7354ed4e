"""What the two sides of a comparison may be, and what the judge never follows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slipway.preview import comparison, rendering, sides
from slipway.preview.sides import Side
from stacks import files, image_lock
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
    def render(*_: object) -> list[rendering.Graph]:
        (checkout / "policies" / "own.yaml").symlink_to("/etc/hostname")
        return [{STACK: ()}, {STACK: ()}]

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
