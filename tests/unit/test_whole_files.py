"""Files and folders that are made under another name and then renamed."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain import paths, whole_files

Write = Callable[..., None]
BOTH = pytest.mark.parametrize("write", [whole_files.write, whole_files.create])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir())


@BOTH
@pytest.mark.parametrize("content", ["å\n", "å\n".encode()])
def test_a_file_has_its_content_and_no_other_is_left(
    tmp_path: Path, write: Write, content: str | bytes
) -> None:
    write(tmp_path / "a.json", content)
    assert (tmp_path / "a.json").read_bytes() == "å\n".encode()
    assert names(tmp_path) == ["a.json"]


@BOTH
def test_a_new_file_has_the_mode_of_the_umask_or_the_one_given(
    tmp_path: Path, write: Write
) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "plain", "")
        write(tmp_path / "secret", "", 0o600)
        write(tmp_path / "program", "", 0o755)
    finally:
        os.umask(before)
    found = [mode(tmp_path / name) for name in ("plain", "secret", "program")]
    assert found == [0o640, 0o600, 0o750]


def test_a_replaced_file_keeps_its_mode_unless_another_is_given(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch()
    file.chmod(0o604)
    whole_files.write(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o604)
    whole_files.write(file, "newer", 0o600)
    assert (file.read_text(), mode(file)) == ("newer", 0o600)


def test_nobody_else_reads_a_replacement_before_it_has_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    synced = os.fsync

    def watched(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            modes.append(stat.S_IMODE(status.st_mode))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    (tmp_path / "secret").touch(0o600)
    whole_files.write(tmp_path / "secret", "new")
    assert modes == [0o600]
    assert mode(tmp_path / "secret") == 0o600


@BOTH
def test_content_is_on_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    steps: list[str] = []
    real_sync, real_link, real_replace = os.fsync, os.link, Path.replace

    def sync(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        size = os.fstat(descriptor).st_size
        steps.append("folder" if place == tmp_path else f"{size} bytes")
        real_sync(descriptor)

    def link(source: Path, target: Path) -> None:
        steps.append("name")
        real_link(source, target)

    def replace(source: Path, target: Path) -> Path:
        steps.append("name")
        return real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(Path, "replace", replace)
    write(tmp_path / "a", "12345")
    assert steps == ["5 bytes", "name", "folder"]


@BOTH
def test_a_failure_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "a", "new")
    assert names(tmp_path) == []


def test_a_failure_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        whole_files.write(file, "new")
    assert (file.read_text(), names(tmp_path)) == ("old", ["a"])


def test_what_exists_is_not_created_again(tmp_path: Path) -> None:
    whole_files.create(tmp_path / "a", "first")
    with pytest.raises(FileExistsError):
        whole_files.create(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "first"
    assert names(tmp_path) == ["a"]


def test_a_program_makes_a_file_under_a_name_that_ends_the_same(tmp_path: Path) -> None:
    target = tmp_path / "new" / "root.tar"
    target.parent.mkdir()
    with whole_files.made(target) as part:
        assert part.name.endswith("root.tar")
        assert part.parent == target.parent
        part.write_text("x")
        assert not target.exists()
    assert names(target.parent) == ["root.tar"]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    (target / "old").mkdir(parents=True)
    with whole_files.made(target) as part:
        part.mkdir()
        (part / "new").touch()
    assert names(target) == ["new"]
    assert names(tmp_path) == ["kept"]


def test_what_a_killed_process_left_is_not_used(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    with pytest.raises(FileNotFoundError), whole_files.made(target) as part:
        pass
    (part / "half").mkdir(parents=True)
    with whole_files.made(target) as part:
        assert not part.exists()
        part.mkdir()
    assert names(target) == []
    part.write_text("half a file")
    with whole_files.made(tmp_path / "kept") as part:
        part.mkdir()
    assert names(tmp_path) == ["kept"]


def test_a_folder_that_is_not_to_be_replaced_stays(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    (target / "old").mkdir(parents=True)
    with (
        pytest.raises(OSError, match="not empty"),
        whole_files.made(target, replace=False) as part,
    ):
        part.mkdir()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["mine"]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "kept"
    (target / "old").mkdir(parents=True)

    def fail() -> None:
        with whole_files.made(target) as part:
            (part / "half").mkdir(parents=True)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(tmp_path) == ["kept"]
    assert names(target) == ["old"]


def renames(file: Path) -> bool:
    """Whether a module calls Path.rename or Path.replace, or those of `os`.

    str.replace has two arguments, and datetime.replace has keywords.
    """
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called, given = node.func.attr, (len(node.args), len(node.keywords))
            is_of_os = ast.unparse(node.func) == "os.replace"
            if called == "rename" or is_of_os:
                return True
            if called == "replace" and given == (1, 0):
                return True
    return False


ALLOWED = {
    "devtools/environment.py": "a symbolic link",
    "examples/training_parts/checkpoints.py": "alone in its container",
    "examples/training_parts/whole_folder.py": "alone in its container",
    "lab/ssh.py": "ssh-keygen makes the two halves of a key",
    "slipway/images/models.py": "the training makes a second file",
    "toolchain/builds.py": "a program's name; caches that are to be deleted",
    "toolchain/downloads.py": "within a folder that is itself put in place whole",
    "toolchain/packages.py": "within a folder that is itself put in place whole",
    "toolchain/whole_files.py": "",
}


def test_no_other_module_puts_a_file_in_place() -> None:
    folders = ("components", "devtools", "examples", "lab", "slipway", "toolchain")
    found = {
        str(file.relative_to(paths.ROOT))
        for folder in folders
        for file in (paths.ROOT / folder).rglob("*.py")
        if renames(file)
    }
    assert found == set(ALLOWED)
