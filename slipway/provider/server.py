"""The component provider: a program that Pulumi's engine starts for other languages.

    pulumi-resource-slipway ENGINE

It prints the port of its gRPC server
(https://www.pulumi.com/docs/iac/concepts/providers/).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyErrorDetails
from pulumi.provider import ConstructResult, Provider
from pulumi.provider.server import main as serve

from components.settings import SettingsError, parse
from slipway.engine.pulumi_cli import slipway_version
from slipway.provider import package_schema
from slipway.provider.exposed import BY_TOKEN, TABLE, Exposed
from slipway.rendering.recorder import plain


class ComponentProvider(Provider):
    """Constructs the components of `exposed.TABLE`."""

    def __init__(self) -> None:
        version = slipway_version()
        super().__init__(version, package_schema.text(TABLE, version))

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Mapping[str, Any],
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Registers the component and its children with the calling program's engine.

        InputPropertiesError with every wrong input at once.
        """
        one = BY_TOKEN.get(resource_type)
        if one is None:
            known = ", ".join(sorted(BY_TOKEN))
            reason = f"slipway has no {resource_type}; it has {known}"
            # The SDK (3.259) fails over an error without a property.
            raise InputPropertiesError("type", [_error("type", reason)])
        links = {key: inputs[key] for key in one.links if key in inputs}
        settings = _parsed(one, name, inputs)
        component = one.make(name, settings, links, options)
        state = {key: getattr(component, key) for key in one.outputs}
        return ConstructResult(component.urn, state)


def _parsed(one: Exposed, name: str, inputs: Mapping[str, Any]) -> Any:
    given = {key: plain(it) for key, it in inputs.items() if key not in one.links}
    errors = [_unknown(key) for key, it in given.items() if _has_outputs(it)]
    errors += [_absent(key) for key in one.links if key not in inputs]
    if not errors:
        try:
            return parse(one.inputs, given, name)
        except SettingsError as error:
            errors = [_wrong(it.path, it.reason, it.fix) for it in error.problems]
    raise InputPropertiesError(f"{one.token} {name}", errors)


def _has_outputs(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_outputs, value.values()))
    if isinstance(value, list):
        return any(map(_has_outputs, value))
    return isinstance(value, pulumi.Output)


def _unknown(path: str) -> InputPropertyErrorDetails:
    return _wrong(
        path,
        "settings are checked before the first resource, and this one is a secret or "
        "known only later",
        "give a plain value",
    )


def _absent(path: str) -> InputPropertyErrorDetails:
    return _wrong(path, "it is required", "give the output of a component")


def _wrong(path: str, reason: str, fix: str) -> InputPropertyErrorDetails:
    return _error(path, f"{reason}; {fix}")


def _error(path: str, reason: str) -> InputPropertyErrorDetails:
    return {"property_path": path, "reason": reason}


def main() -> None:
    """Entry of `pulumi-resource-slipway`."""
    serve(ComponentProvider(), sys.argv[1:])
