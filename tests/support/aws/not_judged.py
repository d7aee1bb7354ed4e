"""What the emulators cannot judge: here a test passes that AWS might refuse."""

from __future__ import annotations

CALLS = {
    "eks:TagResource": "of pod identities: ministack does not know their ARNs",
    "eks:UntagResource": "the same",
    "eks:UpdateClusterVersion": "neither emulator has it",
    "eks:UpdateNodegroupVersion": "neither emulator has it",
}
"""Calls that are only held against botocore's model of their parameters."""
