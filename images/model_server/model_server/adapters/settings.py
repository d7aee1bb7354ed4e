"""The server's settings for an application: the same, but for what it has not."""

from __future__ import annotations

from collections.abc import Mapping

from model_server.config import Config, ConfigError, read


def read_settings(environment: Mapping[str, str]) -> Config:
    """Parse MODEL_SERVER_*; raise `ConfigError` with every problem found."""
    config = read(environment)
    if config.grpc_port:
        problem = (
            f"MODEL_SERVER_GRPC_PORT={config.grpc_port}: an application's server "
            "speaks HTTP only; unset it, or serve the model by model-server"
        )
        raise ConfigError([problem])
    return config
