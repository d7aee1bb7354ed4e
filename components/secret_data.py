"""The content of Secrets that a stack's own encrypted settings hold."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pulumi
from pydantic import SecretStr


def secret_data(values: Mapping[str, SecretStr]) -> pulumi.Output[dict[str, str]]:
    """`data` of a Secret by key: encoded, and a secret in the state too."""
    return pulumi.Output.secret({key: _encoded(it) for key, it in values.items()})


def _encoded(value: SecretStr) -> str:
    return base64.b64encode(value.get_secret_value().encode()).decode()
