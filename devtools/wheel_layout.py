"""What Hatch puts into the wheel: the checkout's folders under one folder of their own.

Programs then find `contracts/`, `images/` and `playbooks/` beside them, as in a
checkout. A `.pth` file puts the folder last on the path
(https://docs.python.org/3/library/site.html), so that the wheel overwrites and hides
no other distribution's `components` (docs/decisions/0050-one-folder-in-the-wheel.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "slipway_tree"
PATH_FILE = "slipway.pth"
FOR_DEVELOPERS = {
    "benchmarks",
    "devtools",
    "dist",
    "docs",
    "findings",
    "rendered",
    "tests",
}
"""Folders at the top level that an installed Slipway has no use for, some generated."""


def folders(root: Path) -> Iterator[Path]:
    """Folders of the wheel: all at the top level that are not for developers."""
    for folder in sorted(root.iterdir()):
        is_ours = folder.is_dir() and not folder.name.startswith(".")
        if is_ours and folder.name not in FOR_DEVELOPERS:
            yield folder


def files(root: Path) -> dict[str, str]:
    """Path in the wheel of each file by its path on disk, without compiled ones."""
    return {
        str(file): f"{FOLDER}/{file.relative_to(root).as_posix()}"
        for folder in folders(root)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


class WheelLayout(BuildHookInterface):  # type: ignore[misc]
    """Called by Hatch before it writes the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # `dev-mode-dirs` puts the checkout itself on the path
        path_file = Path(self.directory) / PATH_FILE
        path_file.parent.mkdir(parents=True, exist_ok=True)
        path_file.write_text(f"{FOLDER}\n")
        wanted = files(Path(self.root)) | {str(path_file): PATH_FILE}
        build_data["force_include"].update(wanted)

    def finalize(self, version: str, _: dict[str, Any], __: str) -> None:
        if version != "editable":
            (Path(self.directory) / PATH_FILE).unlink()
