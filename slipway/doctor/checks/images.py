"""Machine images of the pinned release: whether AWS has them in this region.

Managed node groups and Karpenter resolve a release by these parameters; the path is
that of Karpenter's pkg/providers/amifamily/al2023.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from components import catalog
from components.cluster.nodes import amis, node_capacity
from components.cluster.nodes.amis import Ami
from components.cluster.nodes.node_pool_base import NodePoolBase
from slipway.account import Account, CannotAskError
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "images"
MISSING = "ParameterNotFound"
VARIANTS = {"none": "standard", "nvidia": "nvidia", "neuron": "neuron"}
"""The variant's name in the path, by accelerator."""


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check that each pool's variant has an image of the lock's release."""
    wanted: dict[str, list[str]] = {}
    for name, pool in plan.pools.items():
        wanted.setdefault(key_of(pool), []).append(f"pools.{name}")
    for key, pools in wanted.items():
        yield _one(plan, account, amis.lock().image(key), ", ".join(pools))


def key_of(pool: NodePoolBase) -> str:
    """Return the lock's image that the pool's nodes boot."""
    if pool.ami:
        return pool.ami
    first = catalog.instance_type(pool.instance_types[0])
    return node_capacity.ami_key(first)


def parameter(version: str, image: Ami) -> str:
    """Return the public parameter that holds the image's id."""
    variant, arch = VARIANTS[image.accelerator], image.architecture
    name = f"amazon-eks-node-al2023-{arch}-{variant}-{version}-{amis.lock().tag}"
    folder = f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023"
    return f"{folder}/{arch}/{variant}/{name}/image_id"


def _one(plan: Plan, account: Account, image: Ami, pools: str) -> Finding:
    subject = f"{image.key} {amis.lock().tag} ({pools})"
    path = parameter(plan.version, image)
    try:
        id_ = account.ask("ssm", "get_parameter", Name=path)["Parameter"]["Value"]
        found = account.all("ec2", "describe_images", "Images", ImageIds=[id_])
    except CannotAskError as error:
        if error.code == MISSING:
            return _missing(plan, subject, f"there is no parameter {path}")
        if error.code.startswith("InvalidAMIID"):
            return _missing(plan, subject, "its image no longer exists")
        return Finding(NAME, "unknown", subject, error.why, error.fix)
    if not found or found[0].get("State") != "available":
        return _missing(plan, subject, f"{id_} cannot be booted here")
    if found[0].get("Architecture") != image.architecture:
        return _missing(plan, subject, f"{id_} is for {found[0].get('Architecture')}")
    return Finding(NAME, "good", subject, f"{id_}, {found[0].get('Name', '')}")


def _missing(plan: Plan, subject: str, detail: str) -> Finding:
    return Finding(
        NAME,
        "problem",
        subject,
        f"{detail} (Kubernetes {plan.version}, {plan.region})",
        f"pin a release of this region in {amis.LOCK.name}",
    )
