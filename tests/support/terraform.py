"""Rendered AWS resources written as Terraform, for tools that read nothing else.

Pulumi's AWS provider is made from Terraform's, so types and fields have the same names
in another spelling; where Pulumi has a plural for repeated blocks, PLURALS has the
singular. References are restored from the ids and ARNs that a rendering makes up, so
that tools see what belongs together. It is for reading only: nothing is applied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from slipway.rendering.render import Rendered

PLURALS = {
    "rules": "rule",
    "transitions": "transition",
    "noncurrent_version_transitions": "noncurrent_version_transition",
    "encryption_configurations": "encryption_configuration",
    "taints": "taint",
    "network_interfaces": "network_interfaces",
    "block_device_mappings": "block_device_mappings",
    "tag_specifications": "tag_specifications",
}
"""Fields with several blocks, and Terraform's name of one of them."""
MAPPINGS = {"tags", "labels"}
"""Fields that are a mapping, not a block."""
MEANT = {"allocation_id": "eip", "arn": "queue"}
"""Fields that do not say of what type the resource is that they name."""
UNPREFIXED = {"ec2"}
"""Modules of Pulumi's that are not part of Terraform's type names."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake(name: str) -> str:
    """`serviceIpv4Cidr` as `service_ipv4_cidr`."""
    return _HUMP.sub("_", name).lower()


def type_of(token: str) -> str:
    """`aws:eks/cluster:Cluster` as `aws_eks_cluster`."""
    module, _, kind = token.removeprefix("aws:").partition(":")[0].partition("/")
    parts = ["aws", *([] if module in UNPREFIXED else [module]), snake(kind)]
    return "_".join(parts)


def label(name: str) -> str:
    """A resource's name as an identifier."""
    return re.sub(r"[^a-z0-9_-]", "_", name.lower())


def written(rendered: Rendered) -> str:
    """All AWS resources of a rendering as one file of Terraform's language."""
    resources = [r for r in rendered.cloud if r["type"].startswith("aws:")]
    known = _references(resources)
    parts = []
    for resource in resources:
        body = "\n".join(_body(resource["inputs"], known, 1))
        kind, name = type_of(resource["type"]), label(resource["name"])
        parts.append(f'resource "{kind}" "{name}" {{\n{body}\n}}\n')
    return "\n".join(parts)


def _references(resources: list[dict[str, Any]]) -> Mapping[str, list[str]]:
    """Addresses by what a rendering has in their place: ids, ARNs, roles' names."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        kind, name = type_of(resource["type"]), label(resource["name"])
        service = resource["type"].removeprefix("aws:").partition("/")[0]
        found.setdefault(f"{resource['name']}-id", []).append(f"{kind}.{name}.id")
        arn = f"arn:aws:{service}:::{resource['name']}"
        found.setdefault(arn, []).append(f"{kind}.{name}.arn")
        if kind == "aws_iam_role":
            found.setdefault(f"role={resource['inputs']['name']}", []).append(
                f"{kind}.{name}.name"
            )
    return found


def _body(
    inputs: Mapping[str, Any], known: Mapping[str, list[str]], depth: int
) -> Iterator[str]:
    indent = "  " * depth
    for key, value in sorted(inputs.items()):
        field = snake(key)
        if isinstance(value, dict) and field in MAPPINGS:
            yield f"{indent}{field} = {json.dumps(value)}"
            continue
        blocks = value if isinstance(value, list) else [value]
        if blocks and all(isinstance(block, dict) for block in blocks):
            if isinstance(value, list):
                field = PLURALS[field]  # KeyError: say what Terraform calls one of them
            for block in blocks:
                yield f"{indent}{field} {{"
                yield from _body(block, known, depth + 1)
                yield f"{indent}}}"
        else:
            yield f"{indent}{field} = {_value(field, value, known)}"


def _value(field: str, value: Any, known: Mapping[str, list[str]]) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(field, one, known) for one in value)}]"
    if not isinstance(value, str):
        return json.dumps(value)
    candidates = known.get(f"role={value}" if field == "role" else value, [])
    fitting = [c for c in candidates if _fits(field, c)] or candidates
    if fitting:
        return fitting[0]
    # JSON's escapes are the language's own; its templates are not meant here.
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")


def _fits(field: str, address: str) -> bool:
    """`vpc_id` means an aws_vpc: names of resources are unique by type only."""
    meant = MEANT.get(field) or re.sub(r"_(id|ids|arn|arns|name)$", "", field)
    kind = address.partition(".")[0]
    return kind.rpartition("_")[2] == meant.rpartition("_")[2].removesuffix("s")
