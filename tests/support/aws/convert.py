"""Values as Pulumi's provider takes them, made into what boto3 takes.

EC2's API has the provider's names with a capital first letter, and so have most
nested values; a name that the API does not have is refused by botocore.
"""

from __future__ import annotations

from typing import Any

BOOLEANS = {"true": True, "false": False}


def pascal(value: Any) -> Any:
    """The same value with names as `VolumeSize`, booleans that were text as such."""
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: pascal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return value


def boolean(value: Any) -> Any:
    """Launch templates' booleans are text, so that they can be left out."""
    return BOOLEANS.get(value, value) if isinstance(value, str) else value


def given(**parameters: Any) -> dict[str, Any]:
    """Parameters of a call without those that were left out."""
    return {key: value for key, value in parameters.items() if value is not None}
