"""Starts one of HDFS's processes in place of this one, so that it gets the signals.

`namenode` makes an empty file system at its first start. `datanode` offers
HDFS_CAPACITY_MIB at most. `dfs`, `dfsadmin` and `fsck` are Hadoop's commands.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hdfs_entry import commands


def main(arguments: list[str], environment: dict[str, str]) -> None:
    """Replace this process."""
    try:
        words = commands.of(arguments, environment, disk_bytes(environment))
    except commands.UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(os.EX_USAGE)
    if arguments[0] == "namenode":
        prepare(Path(commands.folder(environment)), environment)
    os.execve(words[0], words, environment)  # noqa: S606, words of ours


def disk_bytes(environment: dict[str, str]) -> int:
    """Return the size of the file system with the folder, without root's own part."""
    place = os.statvfs(environment.get("HDFS_FOLDER", commands.FOLDER))
    return (place.f_blocks - place.f_bfree + place.f_bavail) * place.f_frsize


def prepare(names: Path, environment: dict[str, str]) -> None:
    """Make the names of an empty file system, unless there are some.

    The folder appears whole: one that an ended process left unfinished would neither
    be formatted again nor be read.
    """
    if names.exists():
        return
    part = names.with_name(f"{names.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    subprocess.run(
        commands.formatting(environment, str(part)), env=environment, check=True
    )
    part.rename(names)


if __name__ == "__main__":
    main(sys.argv[1:], dict(os.environ))
