"""The digest of a file, as sha256sum prints it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from toolchain.digests import sha256_of


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_a_files_digest_is_that_of_its_content(tmp_path: Path, size: int) -> None:
    content = b"slipway"[:size] + bytes(max(size - 7, 0))
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-file"):
        sha256_of(tmp_path / "no-such-file")
