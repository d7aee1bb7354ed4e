"""How Hypothesis runs here."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a busy machine is slow, not wrong. The blob reproduces a failure.
settings.register_profile("slipway", deadline=None, print_blob=True)
settings.load_profile("slipway")
