"""Limits of the receiver."""

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
    """Maximum size of one body as received."""
    label_bytes: int = 8 * MIB
    body_seconds: float = 60.0
    """Timeout of the whole body, for slow senders."""
    requests: int = 16
    """Uploads that are read at the same time; more get 503 with Retry-After."""
    quota_bytes: int = 2048 * MIB
    """Maximum size of files in landing/; beyond it the shippers wait."""
