"""A cluster's own part of the layer `cluster`, rendered by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.cluster.addons import Addons
from components.cluster.eks import Eks
from components.cluster.eks_settings import EksSettings
from components.cluster.iam.arns import Arns
from components.settings import parse
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered, render

ACCOUNT = "123456789012"
ARNS = Arns(ACCOUNT, "eu-central-1")
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/platform-admins"
VIEWER = f"arn:aws:iam::{ACCOUNT}:role/people/on-call"
LEAST: dict[str, Any] = {
    "name": "demo",
    "version": "1.35",
    "administrators": [ADMINISTRATOR],
}
"""The least that a cluster's settings say."""
VPC = "vpc-0123456789abcdef0"


def settings(**change: Any) -> EksSettings:
    return parse(EksSettings, {**LEAST, **change}, "test")


def of_program(program: Callable[[], Any]) -> Rendered:
    """What a program of components registers."""
    return render("cluster.test", config={}, program=program)


def cluster(**change: Any) -> Rendered:
    """Eks alone."""
    return of_program(
        lambda: Eks(
            "eks",
            settings(**change),
            arns=ARNS,
            vpc_id=VPC,
            subnets=["subnet-1", "subnet-2"],
        )
    )


def with_addons(**change: Any) -> Rendered:
    """Eks with the add-ons of both stages."""

    def program() -> None:
        given = settings(**change)
        eks = Eks("eks", given, arns=ARNS, vpc_id=VPC, subnets=["s-1", "s-2"])
        before = Addons(
            "addons-network",
            given,
            "before_nodes",
            arns=ARNS,
            vpc_id=VPC,
            after=[eks.cluster],
        )
        Addons(
            "addons",
            given,
            "after_nodes",
            arns=ARNS,
            vpc_id=VPC,
            after=before.addons,
        )

    return of_program(program)


def of_type(rendered: Rendered, kind: str) -> list[Resource]:
    """All resources of a type, for example `Role`."""
    return [r for r in rendered.resources if r.type.endswith(f":{kind}")]


def named(rendered: Rendered, kind: str, name: str) -> Resource:
    """The only resource of this type and name."""
    (found,) = [r for r in of_type(rendered, kind) if r.name == name]
    return found


def short(urn: str) -> str:
    """Type and name at a URN's end: `Cluster eks`."""
    kinds, _, name = urn.split("::", 2)[2].rpartition("::")
    return f"{kinds.rpartition(':')[2]} {name}"
