"""What goes wrong in the lab, said so that a person can act on it."""

from __future__ import annotations


class LabError(Exception):
    """The lab could not do what was asked; the text says what, why and what to do."""
