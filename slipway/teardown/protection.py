"""Resources that a destroy must not delete, and the settings that protect them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway import stack_files
from slipway.cluster.target import CLUSTER, State
from toolchain.errors import WrongInputError

SETTINGS: Mapping[str, str] = {
    "slipway:cluster:Eks": "cluster.deletion_protection",
    "slipway:cluster:ModelStorage": "storage.protect",
    "slipway:cluster:Network": "storage.protect",
    "slipway:training:EmrServerless": "emr.logs.protect",
}
"""The setting that protects what a component makes, by the component's type."""


@dataclass(frozen=True)
class Protected:
    """One resource that is kept."""

    type: str
    name: str
    setting: str
    """Path of the setting; empty if it is not one of ours."""


class ProtectedError(WrongInputError):
    """The stack has resources that are protected; nothing was touched."""

    def __init__(self, stack: str, found: list[Protected]) -> None:
        self.found = found
        lines = [f"{stack} has protected resources; nothing was touched"]
        lines += [f"  {one.name} ({one.type.rpartition(':')[2]})" for one in found]
        settings = sorted({one.setting for one in found if one.setting})
        if settings:
            changes = ", ".join(f"{name}: false" for name in settings)
            lines.append(f"To delete them: set {changes} in {stack_files.name(stack)},")
            lines.append(f"then: slipway up {stack} && slipway destroy {stack}")
        if any(not one.setting for one in found):
            lines.append(
                "Those that no setting protects: pulumi state unprotect <urn> --stack "
                f"{stack}"
            )
        super().__init__("\n".join(lines))


def refuse_protected(stack: str, resources: State) -> None:
    """ProtectedError if the engine or AWS would refuse to delete something."""
    found = protected(resources)
    if found:
        raise ProtectedError(stack, found)


def protected(resources: State) -> list[Protected]:
    """All resources that are protected in the state, or in AWS by their inputs."""
    return [
        Protected(one["type"], one["urn"].rpartition("::")[2], _setting(one["urn"]))
        for one in resources
        if one.get("protect") or _kept_by_aws(one)
    ]


def _kept_by_aws(resource: Mapping[str, Any]) -> bool:
    outputs = resource.get("outputs") or {}
    return resource["type"] == CLUSTER and bool(outputs.get("deletionProtection"))


def _setting(urn: str) -> str:
    """The setting of the innermost component that has one."""
    types = urn.split("::")[2].split("$")
    return next((SETTINGS[t] for t in reversed(types) if t in SETTINGS), "")
