"""Settings of others in a stack file: those of Pulumi and of its providers.

Our programs make their providers with settings of their own, so that a provider never
reads what a stack file says to it. What is never read is refused, or held equal to the
setting of ours that says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.setting_problems import nearest
from components.settings import ABSENT, Problem
from stacks.layers import Layer

OURS = "slipway"
ENGINE = "pulumi"
OF_ENGINE = ("autonaming", "disable-default-providers", "tags", "template")
"""Keys that the engine and the CLI read themselves (namespace `pulumi`).
https://www.pulumi.com/docs/iac/concepts/projects/stack-settings-file/"""
INSTEAD = {
    "aws:accountId": "account.id of a cluster.* stack",
    "aws:defaultTags": "account.tags of a cluster.* stack",
    "aws:profile": "the environment variable AWS_PROFILE",
    "kubernetes:namespace": "platform.namespace of a models.* stack",
}
"""Alternatives to a provider's settings."""


def problems(layer: Layer, given: Mapping[str, Any]) -> Iterator[Problem]:
    """Report wrong keys of other namespaces.

    `given`: values by `namespace:name`, including ours.
    """
    for key, value in given.items():
        namespace, _, name = key.partition(":")
        if namespace == OURS:
            continue
        if namespace == ENGINE:
            yield from _of_engine(key, name, value)
        elif key in layer.equal:
            yield from _unequal(key, value, layer.equal[key], given)
        else:
            yield Problem(
                path=key,
                value=value,
                reason=f"nothing in a stack of the layer {layer.name} reads it, so it "
                "would have no effect",
                fix=_instead(key, namespace, name, layer),
            )


def _of_engine(key: str, name: str, value: Any) -> Iterator[Problem]:
    if name not in OF_ENGINE:
        meant = nearest(name, OF_ENGINE)
        hint = f"did you mean {ENGINE}:{meant}? " if meant else ""
        yield Problem(
            path=key,
            value=value,
            reason="the engine has no such setting",
            fix=f"{hint}known: {', '.join(OF_ENGINE)}",
        )


def _unequal(
    key: str, value: Any, path: str, given: Mapping[str, Any]
) -> Iterator[Problem]:
    """The provider's setting says something else than ours."""
    field, _, rest = path.partition(".")
    ours: Any = given.get(f"{OURS}:{field}")
    for part in filter(None, rest.split(".")):
        ours = ours.get(part) if isinstance(ours, Mapping) else None
    theirs = value[0] if isinstance(value, list) and len(value) == 1 else value
    if ours is None or isinstance(theirs, list | dict) or str(theirs) != str(ours):
        yield Problem(
            path=key,
            value=value,
            reason=f"{path} takes precedence, and is "
            f"{ABSENT if ours is None else repr(ours)}",
            fix=f"remove it, or make both equal in {OURS}:{field}",
        )


def _instead(key: str, namespace: str, name: str, layer: Layer) -> str:
    if place := INSTEAD.get(key):
        return f"remove it; use {place}"
    if meant := nearest(namespace, (OURS,)):
        return f"did you mean {meant}:{name}?"
    equal = [other for other in layer.equal if other.startswith(f"{namespace}:")]
    known = f"; of {namespace} only {' and '.join(equal)} may be set here" * bool(equal)
    return f"remove it{known}"
