"""The bounds of what the store takes in."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of files, lines and times; what is beyond them goes to quarantine."""

    file_bytes: int = 96 * MIB
    """Maximum size of a landed file as stored, compressed or not."""
    text_bytes: int = 80 * MIB
    """Maximum size of a file's lines. A server finishes a file at 64 MiB, after a
    write."""
    line_bytes: int = 4 * MIB
    chunk_bytes: int = 8 * MIB
    """Size of the lines that are read together; it determines the memory."""
    names: int = 2_048
    """Different names of features or attributes in one file."""
    parts: int = 1_000
    """Different hours, models and revisions in one file: each becomes a file."""
    text_characters: int = 256
    """Maximum length of an id, a model, a revision and similar fields, as JSON text."""
    clock_tolerance_seconds: float = 300.0
    """Maximum time by which a server's clock may be ahead of the monitor's."""
    retention_days: int = 180
    """Records of days before are not kept."""
    memory_mib: int = 384
    """Maximum memory of the database; beyond it, it spills to the store's disk."""
    reported_lines: int = 20
    """Line numbers that the report of a quarantined file gives for each reason."""
