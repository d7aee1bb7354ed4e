"""The model server's core inside an application of another framework.

`Predictor` loads and runs the models; `model_server.adapters.fastapi`, `.flask` and
`.django` mount the server's contract into an application; `.uvicorn` and `.gunicorn`
run that application with the server's settings and drain. Nothing of a framework is
imported only by the module with its name. docs/how-to/framework-adapters.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_server.adapters.predictor import Predictor
    from model_server.errors import RequestError

__all__ = ["Predictor", "RequestError"]

_MODULES = {
    "Predictor": "model_server.adapters.predictor",
    "RequestError": "model_server.errors",
}


def __getattr__(name: str) -> object:
    """Import names lazily: gunicorn reads its settings here before it forks."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
