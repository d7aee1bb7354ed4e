"""What cluster.prod would let whom do, compared with the files in iam/.

A policy changes on purpose or not at all: renew the files and read the difference.

    SLIPWAY_RENEW_GOLDEN=1 .venv/bin/python -m pytest tests/golden/test_iam.py
    git diff tests/golden/iam
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from slipway.rendering.render import render
from tests.support import iam

FOLDER = Path(__file__).with_name("iam")
STACK = "cluster.prod"
RENEW = "SLIPWAY_RENEW_GOLDEN"


def rendered() -> dict[str, str]:
    """The content of each file by its name."""
    return {
        f"{policy.name}.json": json.dumps(policy.document, indent=2) + "\n"
        for policy in iam.policies(render(STACK))
    }


def test_policies_are_those_that_were_read_last() -> None:
    found = rendered()
    if os.environ.get(RENEW):
        FOLDER.mkdir(exist_ok=True)
        for old in FOLDER.glob("*.json"):
            old.unlink()
        for name, text in found.items():
            (FOLDER / name).write_text(text)
    kept = {file.name: file.read_text() for file in FOLDER.glob("*.json")}
    assert set(found) == set(kept)
    for name, text in found.items():
        assert json.loads(text) == json.loads(kept[name]), name
