"""Errors whose text is meant for the operator; all others are faults of the program."""

from __future__ import annotations

FAILED, WRONG, INTERRUPTED = 1, 2, 130


class OperatorError(Exception):
    """What the operator can put right; the text says what, why and what to do.

    Commands print the text alone and end with `exit_status`: 1 (something failed), 2
    (the settings or the command line are wrong, and nothing was touched) or 130
    (interrupted).
    """

    exit_status: int = FAILED


class WrongInputError(OperatorError):
    """The settings or the command line are wrong; nothing was touched."""

    exit_status: int = WRONG
