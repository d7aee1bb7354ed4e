"""The bounds of what the store takes in."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of files, lines and times; what is beyond them goes to quarantine."""

    file_bytes: int = 96 * MIB
    """Of a landed file as it lies, compressed or not."""
    text_bytes: int = 80 * MIB
    """Of the lines of one file. A server finishes a file at 64 MiB, after a write."""
    line_bytes: int = 4 * MIB
    chunk_bytes: int = 8 * MIB
    """Of the lines that are looked at together: what memory is needed for."""
    names: int = 2_048
    """Different names of features or attributes in one file."""
    parts: int = 1_000
    """Different hours, models and revisions in one file: each becomes a file."""
    text_characters: int = 256
    """Of an id, a model, a revision and the like, as JSON text."""
    clock_tolerance_seconds: float = 300.0
    """That a server's clock may be ahead of the monitor's."""
    retention_days: int = 180
    """Records of days before are not kept."""
    memory_mib: int = 384
    """That the database may use; beyond it, it spills to the store's disk."""
    reported_lines: int = 20
    """Line numbers that the report of a quarantined file gives for each reason."""
