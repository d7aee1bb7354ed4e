"""One file takes the place of several, and no row is lost or there twice.

A note in the store names the new file and the old ones, from before the new one gets
its name until the last of the others is gone. A process that is killed in between, or
that the disk fails, leaves the note. `finish` then deletes what is left of the old
files before any is read or joined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from model_monitor.store import whole_files

NOTE = ".replacement.json"


def replace(root: Path, written: Path, new: Path, old: Sequence[Path]) -> None:
    """Give a finished file its name and delete those that it stands for.

    root: of the store. written: its temporary name, in the folder of `new`. After an
    OSError the old files may be there beside the new one: call `finish` before any of
    them is read. Raises FileExistsError if an earlier replacement is not finished.
    """
    if (root / NOTE).exists():
        raise FileExistsError(
            f"{root / NOTE}: tells of a replacement that is not finished; finish it, "
            "for a second one would lose the note"
        )
    note = {
        "new": new.relative_to(root).as_posix(),
        "old": [path.relative_to(root).as_posix() for path in old],
    }
    whole_files.write_whole(root / NOTE, json.dumps(note).encode())
    whole_files.put(written, new)
    finish(root)


def finish(root: Path) -> None:
    """Do the rest of a replacement that was begun; do nothing if none was.

    What killed writes left must have been cleared: the new file has its name, or all is
    as it was before.
    """
    try:
        note = json.loads((root / NOTE).read_bytes())
    except FileNotFoundError:
        return
    new = root / note["new"]
    if new.exists():
        # Its name may not be on disk yet, if the wait for that has failed.
        whole_files.sync(new.parent)
        folders = set[Path]()
        for path in (root / old for old in note["old"]):
            path.unlink(missing_ok=True)
            folders.add(path.parent)
        for folder in sorted(folders):
            whole_files.sync(folder)
    whole_files.remove(root / NOTE)
