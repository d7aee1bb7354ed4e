"""Validates a request before it is carried out or written."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from model_monitor.store import Limits, names

FIELD_CHARACTERS = 1024
"""Maximum length of a field and a value: longer ones do not identify a person."""


def label_files(paths: Iterable[Path], limits: Limits) -> list[str]:
    """Return one line for each fault of files of labels: what, reason, fix."""
    return [problem for path in paths for problem in _label_file(path, limits)]


def _label_file(path: Path, limits: Limits) -> Iterator[str]:
    yield from readable(path)
    if not names.is_labels(path.name):
        yield (
            f"{path}: cannot be the name of a file of labels; use letters, digits, "
            "'.', '_' and '-', and end in .jsonl, .jsonl.gz, .csv or .parquet"
        )
    elif path.is_file() and (size := path.stat().st_size) > limits.file_bytes:
        yield f"{path}: {size} bytes, at most {limits.file_bytes}; split the file"


def readable(path: Path) -> Iterator[str]:
    """Yield why a file cannot be read."""
    try:
        with path.open("rb") as file:
            file.read(1)
        if not stat.S_ISREG(path.stat().st_mode):
            yield f"{path}: is not a regular file; give one"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield f"{path}: cannot be read: {reason}; give a file that can"


def erasure(field: str, value: str, key: Path) -> list[str]:
    """Return one line for each fault of an erasure; none has the value."""
    problems = []
    for name, text in (("field", field), ("value", value)):
        if not text:
            problems.append(f'{name}="": is empty; name one subject')
        elif len(text) > FIELD_CHARACTERS:
            problems.append(
                f"{name}: has {len(text)} characters, at most {FIELD_CHARACTERS}; "
                "give it as the log has it"
            )
    problems += readable(key)
    if not problems and not key.read_bytes().strip():
        problems.append(f"{key}: is empty; put a secret of 32 bytes or more into it")
    return problems
