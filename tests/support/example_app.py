"""Runs an example application as its image does, as a process on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.model_server import SERVER, ModelServer
from toolchain import paths

EXAMPLES = paths.ROOT / "examples"
FRAMEWORKS = ("fastapi", "flask", "django")
CONFIGURATION = "python:model_server.adapters.gunicorn"
COMMANDS = {
    "fastapi": ["model_server.adapters.uvicorn", "example.app:app"],
    "flask": ["gunicorn", "--config", CONFIGURATION, "example.app:app"],
    "django": ["gunicorn", "--config", CONFIGURATION, "example.wsgi:application"],
}
"""What each image's ENTRYPOINT gives Python after -m; a test compares."""


class ExampleApp(ModelServer):
    """One example application, by the name of its framework."""

    def __init__(
        self, framework: str, models: Path, log: Path, **settings: object
    ) -> None:
        super().__init__(models, log, **settings)
        self.framework = framework
        folder = EXAMPLES / framework
        self.environment["PYTHONPATH"] = f"{SERVER}:{folder}"
        self.command = [sys.executable, "-m", *COMMANDS[framework]]


def server_or_example(kind: str, models: Path, log: Path) -> ModelServer:
    """Our server if the kind is `server`, else the example of that framework."""
    if kind == "server":
        return ModelServer(models, log)
    return ExampleApp(kind, models, log)
