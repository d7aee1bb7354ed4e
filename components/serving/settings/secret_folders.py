"""Folders in a pod that files of Secrets are put into.

Apart from the volumes (secret_files.py): settings are checked without Pulumi's SDK.
"""

from __future__ import annotations

from collections.abc import Iterable


def folder(file: str) -> str:
    """The folder of a file."""
    return file.rpartition("/")[0]


def root(file: str, files: Iterable[str]) -> str:
    """The folder whose volume holds the file: the topmost that holds one of `files`.

    A volume cannot be mounted inside another that is read-only, so that a folder below
    one with files of its own is a part of that one's volume.
    """
    above = {folder(f) for f in files if f"{folder(file)}/".startswith(f"{folder(f)}/")}
    return min(above, key=len)
