"""The predictors of this process, the drain that they follow, and gunicorn's part.

Apart from the predictors themselves, since onnxruntime starts threads when it is
imported and so must not be before the last fork: a process that only forks reads this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.adapters.drain import Drain

if TYPE_CHECKING:
    from model_server.adapters.predictor import Predictor

ANNOUNCE_CLOSE = "model_server.announce_close"
"""In a WSGI environment: what to call to have the server close after the answer."""

predictors: list[Predictor] = []
drain = Drain()
