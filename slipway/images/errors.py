"""Errors of images, and the type of progress reports."""

from __future__ import annotations

from collections.abc import Callable

from toolchain.errors import OperatorError

Report = Callable[[str, str], None]
"""Called with (image, what happens) during the work."""


class ImageError(OperatorError):
    """An image could not be made or pushed; the text says which, why, what to do."""


def silent(_image: str, _text: str) -> None:
    """A report that goes nowhere."""
