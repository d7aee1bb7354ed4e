"""parliament's findings on policy documents; it runs in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.iam import Policy
from toolchain import own_venv, paths

REQUIREMENTS = paths.ROOT / "tests" / "policy" / "requirements-parliament.txt"
SCRIPT = Path(__file__).with_name("iam_lint_run.py")
RUN_SECONDS = 300
SEVERE = ("MEDIUM", "HIGH", "CRITICAL")
MISSPELT = "UNKNOWN_ACTION"
"""Low to parliament; to us a right that somebody needs and does not get."""
UNKNOWN_TO_IT = {
    # Since 2021; its list of conditions per action (2025) has it for no action.
    # https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
    "UNKNOWN_CONDITION_FOR_ACTION": (
        "Unknown condition kms:ResourceAliases ",
        # Of all requests to S3, hence of each action that a denied `s3:*` is.
        "Unknown condition s3:TlsVersion ",
    ),
    # A number with a point, as AWS's own example has it.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    "MISMATCHED_TYPE": (
        "Type mismatch: s3:TlsVersion requires a value of type Numeric but given",
    ),
}
"""What AWS documents and parliament's copy of AWS's reference lacks."""


def findings(policies: Iterable[Policy]) -> list[dict[str, Any]]:
    """Findings of medium severity or higher: policy, sid, severity, issue, detail."""
    given = {p.name: {"kind": p.kind, "document": p.document} for p in policies}
    done = subprocess.run(
        [own_venv.python(REQUIREMENTS), "-I", "-W", "ignore", SCRIPT],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    severe = [f for f in found if f["severity"] in SEVERE or f["issue"] == MISSPELT]
    return [f for f in severe if not _known(f)]


def _known(finding: dict[str, Any]) -> bool:
    beginnings = UNKNOWN_TO_IT.get(finding["issue"], ())
    return finding["detail"].startswith(beginnings) if beginnings else False
