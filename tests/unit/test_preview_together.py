"""Both sides of a comparison by one process, where it proves that this is right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from slipway.preview import child, rendering
from slipway.preview.likeness import likeness
from slipway.preview.rendering import Graph, RenderError
from slipway.preview.sides import Side
from stacks import files
from tests.support.rendered import IMAGES
from toolchain import paths

STACK, OTHER = "models.mine", "platform.mine"
SOURCES = (
    *("components", "contracts", "slipway", "stacks", "toolchain", "images"),
    "Pulumi.yaml",
)
LOCK = "docs/mine.lock"
MODEL = """config:
  slipway:images_lock: docs/mine.lock
  slipway:models:
    one: {model_image: employment, route: {prefix: /one/v1}}
    two: {model_image: employment, route: {prefix: /two/v1}}
"""
MORE = "/two/v1}, environment: {A: b}"
Edit = Callable[[Path], None]


def replaced(name: str, before: str, after: str) -> Edit:
    """An edit of a file."""

    def edit(checkout: Path) -> None:
        file = checkout / name
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    return edit


def added(name: str) -> Edit:
    """A new file."""

    def edit(checkout: Path) -> None:
        (checkout / name).write_text("[]\n")

    return edit


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with two models, whose stack names a lock file among documents."""
    root = tmp_path_factory.mktemp("sides") / "base"
    (root / "docs").mkdir(parents=True)
    for name in SOURCES:
        source = paths.ROOT / name
        if source.is_dir():  # with what is compiled: each process would do it anew
            shutil.copytree(source, root / name)
        else:
            shutil.copy(source, root)
    (root / LOCK).write_text(json.dumps(IMAGES))
    (root / "docs" / "unread.md").write_text("nothing\n")
    files.path(STACK, root).write_text(MODEL)
    return root


@pytest.fixture
def sides(base: Path, tmp_path: Path) -> list[Path]:
    """Two checkouts, of which the second, `head`, is the test's to change."""
    head = tmp_path / "head"
    shutil.copytree(base, head)
    return [base, head]


@pytest.fixture(scope="module")
def of_base(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """What base is by itself: no test changes it."""
    (found,) = rendered([base], tmp_path_factory.mktemp("alone") / "work")
    return found


class Started:
    """The processes that were started, by side."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sides: list[str] = []
        before = rendering._start

        def start(one: Side, *words: Any) -> Any:
            self.sides.append(one.name)
            return before(one, *words)

        monkeypatch.setattr(rendering, "_start", start)


def rendered(folders: Sequence[Path], work: Path) -> list[Graph]:
    """Graphs of one or both; what each is by itself must be the same."""
    pairs = [(Side(one.name, one), [STACK]) for one in folders]
    work.mkdir()
    return rendering.render(pairs, [None] * len(pairs), work).graphs


@pytest.mark.parametrize(
    ("edit", "started"),
    [
        (replaced(files.name(STACK), "/two/v1}", MORE), ["base"]),
        (replaced("docs/unread.md", "nothing", "something"), ["base"]),
        (replaced(LOCK, IMAGES["employment"][-9:], "123456789"), ["base", "head"]),
        (replaced("components/naming.py", "model-monitor", "m"), ["base", "head"]),
        (added("images/more.json"), ["base", "head"]),
    ],
    ids=["a model", "a document", "a file that a setting names", "code", "a new file"],
)
def test_sides_are_what_each_is_by_itself(
    edit: Edit,
    started: list[str],
    sides: list[Path],
    of_base: Graph,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edit(sides[1])
    seen = Started(monkeypatch)
    together = rendered(sides, tmp_path / "together")
    assert seen.sides == started
    assert together == [of_base, *rendered(sides[1:], tmp_path / "apart")]


def test_an_error_of_head_is_that_of_head(sides: list[Path], tmp_path: Path) -> None:
    replaced(files.name(STACK), "/two/v1}", "/one/v1}")(sides[1])
    texts = []
    for name, folders in (("together", sides), ("apart", sides[1:])):
        with pytest.raises(RenderError, match="head") as error:
            rendered(folders, tmp_path / name)
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_what_git_ignores_is_no_difference(tmp_path: Path) -> None:
    for side in ("base", "head"):
        (tmp_path / side / "stacks").mkdir(parents=True)
        (tmp_path / side / "stacks" / "a.py").write_text("x = 1\n")
    base, head = tmp_path / "base", tmp_path / "head"
    for name in (".venv/b", "stacks/__pycache__/a.pyc", "rendered/c", ".git"):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text("1")
    found = likeness(base, head)
    assert found is not None
    assert found.same == frozenset({"stacks/a.py"})
    assert not found.differing
    (head / "stacks" / "rendered").write_text("1")
    assert likeness(base, head) is None


def test_a_link_says_nothing(tmp_path: Path) -> None:
    for side in ("base", "head"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "link").symlink_to("elsewhere")
    assert likeness(tmp_path / "base", tmp_path / "head") is None


@pytest.mark.parametrize(
    ("event", "what", "noted"),
    [
        ("open", "{root}/stacks/same.py", False),
        ("open", "{root}/stacks/__pycache__/same.cpython-311.pyc", False),
        ("open", "{root}/stacks/__pycache__/other.cpython-311.pyc", True),
        ("open", "{root}/stacks/../other.py", True),
        ("open", "/elsewhere/other.py", False),
        ("open", 3, False),
        ("os.listdir", "{root}/stacks", False),
        ("os.scandir", "{root}/rendered", True),
        ("subprocess.Popen", ["helm", "{root}/charts"], True),
        ("subprocess.Popen", ["helm", "/elsewhere"], False),
    ],
)
def test_what_is_looked_at_is_noted(
    event: str, what: Any, noted: bool, tmp_path: Path
) -> None:
    seen = child.Seen(tmp_path, tmp_path, "/head", ["stacks/same.py"], ["stacks"])
    words = what if isinstance(what, list) else [what]
    given = [w.format(root=tmp_path) if isinstance(w, str) else w for w in words]
    seen.hear(event, ("helm", given) if isinstance(what, list) else (given[0],))
    assert seen.others is noted
