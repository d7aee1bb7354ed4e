"""The model server's extension for this machine's Python, compiled as its image does.

The headers come from the image's own input. Where that needs apt and there is none,
those of this Python serve, if it has any: the stable ABI is the same.
"""

from __future__ import annotations

import hashlib
import subprocess
import sysconfig
from pathlib import Path

from slipway.images.table import images
from toolchain import own_venv, packages, paths, whole_files
from toolchain.errors import OperatorError
from toolchain.locks import locked

FOLDER = images()["model-server"].folder
SOURCES = FOLDER / "extension"
COMPILER = FOLDER / "requirements-compiler.txt"
NAME = "tree_masks.abi3.so"


def folder() -> Path:
    """Return a folder for PYTHONPATH with the extension; compile it if need be.

    Raises `OperatorError` or `CalledProcessError` where this machine cannot.
    """
    target = paths.cache() / "tree-extension" / _key()
    if (target / NAME).exists():
        return target
    with locked(target.parent / "lock"):
        if not (target / NAME).exists():
            target.mkdir(parents=True, exist_ok=True)
            compiler = own_venv.python(COMPILER)
            command = [str(compiler), str(SOURCES / "build.py"), str(headers())]
            with whole_files.made(target / NAME) as part:
                subprocess.run([*command, str(part)], check=True, timeout=600)
    return target


def search_path() -> list[str]:
    """Return what PYTHONPATH needs: nothing, with a note, if it cannot be compiled."""
    try:
        return [str(folder())]
    except (OperatorError, subprocess.SubprocessError, OSError) as error:
        print(f"note: without the extension, onnxruntime evaluates trees: {error}")
        return []


def headers() -> Path:
    """Return the folder with Python's C headers in it."""
    found = Path(sysconfig.get_path("include"))
    if packages.has_apt() or not (found / "Python.h").is_file():
        return images()["model-server"].inputs["headers"].make()
    return found.parent


def _key() -> str:
    digest = hashlib.sha256(COMPILER.with_suffix(".lock").read_bytes())
    for file in sorted(SOURCES.iterdir()):
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
