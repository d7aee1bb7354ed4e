"""Texts that are compared with the file that was read last.

With SLIPWAY_RENEW_GOLDEN=1 in the environment the files are written first.
"""

from __future__ import annotations

import os
from pathlib import Path

RENEW = "SLIPWAY_RENEW_GOLDEN"


def assert_as_read(file: Path, found: str) -> None:
    """Fail unless the text is the file's."""
    if os.environ.get(RENEW):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found)
    assert found == file.read_text(), f"{file.name}: renew and read the difference"
