"""Errors whose text is meant for the operator; all others are faults of the program."""

from __future__ import annotations

FAILED, WRONG, INTERRUPTED = 1, 2, 130


class OperatorError(Exception):
    """An error that the operator can fix; the text says what, why and what to do.

    Commands print only the text and end with `exit_status`: 1 (something failed), 2
    (the settings or the command line are wrong, and nothing was changed) or 130
    (interrupted).
    """

    exit_status: int = FAILED


class WrongInputError(OperatorError):
    """The settings or the command line are wrong; nothing was touched."""

    exit_status: int = WRONG
