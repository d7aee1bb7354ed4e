"""What the receiver allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class ReceiverSettings:
    """Tokens and bounds.

    A token file holds one token a line, so that an old one can go after the new one has
    come; it is read anew for each request. Without a file, whoever reaches the port may
    send.
    """

    log_tokens: Path | None = None
    label_tokens: Path | None = None
    log_bytes: int = 96 * MIB
    """Of one body, as it comes."""
    label_bytes: int = 8 * MIB
    body_seconds: float = 60.0
    """That the whole body may take; a slow sender is cut off."""
    requests: int = 16
    """Uploads that are read at the same time; more get 503 with Retry-After."""
    quota_bytes: int = 2048 * MIB
    """Of files that wait in landing/; beyond it the shippers wait."""
