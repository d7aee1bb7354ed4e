"""`slipway compare` as people run it, with both sides in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.cli import cli
from slipway.preview import sides
from slipway.rendering import placeholders
from stacks import files
from tests.support.rendered import MIRRORED
from toolchain import paths
from toolchain.errors import WrongInputError

STACK = "models.mine"
SOURCES = (
    *("components", "contracts", "slipway", "stacks", "toolchain", "images"),
    "Pulumi.yaml",
)
TOKEN = "AWS_SECRET_ACCESS_KEY"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *words])


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose one model may have more replicas."""
    root = tmp_path_factory.mktemp("other") / "checkout"
    root.mkdir()
    for name in SOURCES:
        source = paths.ROOT / name
        if source.is_dir():  # with what is compiled: each process would do it anew
            shutil.copytree(source, root / name)
        else:
            shutil.copy(source, root)
    file = files.path(STACK, root)
    file.write_text(file.read_text() + "      scaling: {max_replicas: 9}\n")
    return root


def test_a_change_is_reported_and_told_by_the_exit_status(
    other: Path, tmp_path: Path
) -> None:
    words = (str(paths.ROOT), str(other), "--stack", STACK)
    done = run(*words, "--detailed-exitcode", "--out", str(tmp_path / "out"))
    assert done.exit_code == 2, done.output
    assert "spec.maxReplicas`: `4` → `9`" in done.output
    assert (tmp_path / "out" / "compare.md").read_text() == done.output
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert found["judge"] == "base"
    assert [item["name"] for item in found["stacks"][0]["items"]] == [
        "models/employment"
    ]


def test_no_change_ends_with_0(other: Path) -> None:
    words = (str(other), str(other), "--stack", STACK, "--detailed-exitcode", "--json")
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["verdict"] == "Nothing changes."


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("no-such-revision",), "neither a folder nor a revision"),
        ((str(paths.ROOT), "--stack", "models.nowhere"), "neither side has such"),
        ((str(paths.ROOT), "--environment", "nowhere"), "neither side has such"),
        ((str(paths.ROOT), "--no-such-option"), "No such option"),
        ((str(paths.ROOT), "--images", "/nonexistent/lock"), "does not exist"),
        ((), "Missing argument"),
        ((str(paths.ROOT / "docs"),), "not a checkout"),
    ],
)
def test_errors_end_with_1(words: tuple[str, ...], text: str) -> None:
    """2 says that there are changes."""
    done = run(*words)
    assert done.exit_code == 1
    assert text in done.output


def hostile(other: Path, tmp_path: Path, code: str) -> Path:
    """A checkout whose program of models does something first."""
    root = tmp_path / "hostile"
    shutil.copytree(other, root)
    program = root / "stacks" / "models.py"
    program.write_text(program.read_text() + f"\n{code}\n")
    return root


def test_a_side_sees_none_of_the_callers_variables(
    other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Head's code runs in the renderer only, and knows neither token nor home."""
    monkeypatch.setenv(TOKEN, "harmless-stand-in")
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    seen = tmp_path / "seen.json"
    code = (
        "import json, os, pathlib, sys\n"
        f"pathlib.Path({str(seen)!r}).write_text(json.dumps("
        "[dict(os.environ), os.getpid(), sys.path]))"
    )
    root = hostile(other, tmp_path, code)
    assert run(str(other), str(root), "--stack", STACK).exit_code == 0
    environment, process, path = json.loads(seen.read_text())
    assert process != os.getpid()
    assert TOKEN not in environment
    assert environment["HOME"] != os.environ["HOME"]
    assert set(environment) <= {
        *("HOME", "LANG", "LC_CTYPE", "PATH", "SLIPWAY_IMAGES_LOCK", "TMPDIR"),
        *("XDG_CACHE_HOME", "XDG_STATE_HOME"),
    }
    assert path[0] == str(root)
    assert str(paths.ROOT) not in path


def test_a_side_that_fails_is_named(other: Path, tmp_path: Path) -> None:
    root = hostile(other, tmp_path, "raise RuntimeError('\\x1b[31mbroken')")
    done = run(str(other), str(root), "--stack", STACK)
    assert done.exit_code == 1
    assert f"{root}: {STACK}" in done.output
    assert "RuntimeError" in done.output
    assert "\x1b" not in done.output


def test_a_graph_that_is_none_is_reported(other: Path, tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        'graph = \'{"models.mine": {"resources": [{}]}}\'\n'
        "pathlib.Path(sys.argv[3], 'graph.json').write_text(graph)\n"
        "os._exit(0)"
    )
    root = hostile(other, tmp_path, code)
    done = run(str(other), str(root), "--stack", STACK)
    assert done.exit_code == 1
    assert f"{root}: the renderer wrote no graph" in done.output


def test_a_type_that_is_none_is_reported(other: Path, tmp_path: Path) -> None:
    code = (
        "import pulumi\n"
        "declared = run\n\n"
        "def run():\n"
        "    declared()\n"
        "    pulumi.CustomResource('a:b', 'odd')"
    )
    root = hostile(other, tmp_path, code)
    done = run(str(other), str(root), "--stack", STACK)
    assert done.exit_code == 1
    assert f"{root}: {STACK}: the type 'a:b' of 'odd'" in done.output


def test_a_revision_is_taken_from_git_without_a_worktree(tmp_path: Path) -> None:
    if not (paths.ROOT / ".git").exists():
        pytest.skip("no repository")
    found = sides.side("HEAD", tmp_path / "head")
    assert len(found.commit) == 40
    assert (found.folder / "stacks" / "models.py").is_file()
    assert not (found.folder / ".git").exists()


def test_a_revision_with_a_link_that_leads_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    for target in ("/etc/hostname", "../../outside"):
        link = repository / "a-link"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "a")):
            subprocess.run(["git", *words], cwd=repository, check=True)
        monkeypatch.setattr(paths, "ROOT", repository)
        with pytest.raises(
            WrongInputError, match="leads out of the checkout"
        ) as caught:
            sides.side("HEAD", tmp_path / link.readlink().name)
        assert f"HEAD: 'a-link', a link to '{target}'" in str(caught.value)


def test_every_image_of_this_checkout_has_a_placeholder() -> None:
    found = placeholders.images(paths.ROOT)
    assert {*MIRRORED, "model-server", "employment", "envoy"} <= set(found)
    assert len(set(found.values())) == len(found)
