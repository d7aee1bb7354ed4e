"""The engine's output of a run, as a result or an error."""

from __future__ import annotations

from pulumi.automation.errors import CommandError

from slipway.progress import COUNTED, EngineProgress, clean

SECRET_OUTPUT = "[secret]"  # noqa: S105


def counts(follow: EngineProgress) -> dict[str, int]:
    """Resources by operation."""
    return {kind: follow.counts[kind] for kind in COUNTED if kind in follow.counts}


def once(errors: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Errors without repetitions, and without the engine's own closing line."""
    specific = [e for e in errors if e[1] not in ("update failed", "preview failed")]
    return list(dict.fromkeys(specific or errors))


def error_text(error: CommandError) -> str:
    """Return the CLI's output, from its error on."""
    text = clean(str(error))
    _, found, rest = text.rpartition("stderr:")
    lines = [line for line in (rest if found else text).splitlines() if line.strip()]
    return "\n".join(lines).strip().removeprefix("error: ")
