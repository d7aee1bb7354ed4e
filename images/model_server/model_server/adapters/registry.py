"""The predictors of this process, and the drain that they follow.

Apart from the predictors themselves, since onnxruntime starts threads when it is
imported and so must not be before the last fork: a process that only forks reads this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.adapters.drain import Drain

if TYPE_CHECKING:
    from model_server.adapters.predictor import Predictor

predictors: list[Predictor] = []
drain = Drain()
