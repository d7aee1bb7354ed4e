"""Components of an AWS account rendered alone, and ways to look into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.cluster.iam.arns import Arns
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered, render

ARNS = Arns("111122223333", "eu-central-1")
CLUSTER = "prod"


def rendered(program: Callable[[], Any]) -> Rendered:
    """What the program registers, with no settings of a stack."""

    def run() -> None:
        program()

    return render("cluster.test", config={}, program=run)


def of_kind(found: Rendered, kind: str) -> dict[str, Resource]:
    """Resources of a type such as `ec2/subnet:Subnet` by their names."""
    return {r.name: r for r in found.resources if r.type.partition(":")[2] == kind}


def only(found: Rendered, kind: str) -> Resource:
    """The only resource of its type."""
    (resource,) = of_kind(found, kind).values()
    return resource


def name_of(urn: str) -> str:
    """A resource's name out of its URN."""
    return urn.rpartition("::")[2]


def after(found: Rendered, resource: Resource) -> set[str]:
    """URNs of all that is made before the resource, near and far."""
    by_urn = {r.urn: r for r in found.resources}
    seen: set[str] = set()
    waiting = [resource.urn]
    while waiting:
        one = by_urn[waiting.pop()]
        for urn in {*one.depends_on, one.parent} - seen:
            if urn in by_urn:
                seen.add(urn)
                waiting.append(urn)
    return seen
