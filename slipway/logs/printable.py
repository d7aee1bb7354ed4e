"""Text from pods and the API server, made safe for a terminal: slipway/printable.py."""

from __future__ import annotations

from slipway.printable import lines, printable

__all__ = ["lines", "printable"]
