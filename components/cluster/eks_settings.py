"""Settings of the cluster itself: version, access, add-ons, protection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field

from components.cluster import addon_checks, kubernetes_support
from components.cluster.addon_versions import PINNED
from components.cluster.network.cidr import PRIVATE, Cidr
from components.cluster.network.network_settings import LogRetentionDays
from components.settings import Problem, Settings, refuse

_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LONGEST_NAME = 40
"""EKS takes 100, but roles, buckets and queues are named after the cluster."""
_VERSION = re.compile(r"1\.[0-9]{2}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+")
_ADDON_VERSION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+-eksbuild\.[0-9]+")
SERVICE_PREFIXES = range(12, 25)
"""Lengths of the prefix that EKS takes for services.
https://docs.aws.amazon.com/eks/latest/APIReference/API_KubernetesNetworkConfigRequest.html"""
WIDEST_PUBLIC_PREFIX = 8
"""A shorter prefix is too large for one company's addresses."""
MOST_PUBLIC_CIDRS = 40
"""https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html"""


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or "--" in value:
        refuse(
            "not a valid cluster name: roles, buckets and other objects are named "
            "after it",
            "use a-z, 0-9 and single - between them, starting with a letter",
        )
    if len(value) > LONGEST_NAME:
        refuse(
            f"it is longer than {LONGEST_NAME} characters, and roles and buckets are "
            "named after it",
            "shorten it",
        )
    return value


def _version(value: str) -> str:
    if not _VERSION.fullmatch(value):
        refuse(
            "not a Kubernetes minor version",
            'give it in quotes without a patch number, for example "1.35"; EKS picks '
            "the patch",
        )
    return value


def _role(value: str) -> str:
    if ":assumed-role/" in value:
        refuse(
            "it is a session, which expires; access is granted to roles",
            "give the role's own ARN: arn:aws:iam::<account>:role/<name>",
        )
    if ":user/" in value or value.endswith(":root"):
        refuse(
            "it is a user or a whole account; access is granted to roles, whose "
            "credentials expire",
            "give a role's ARN: arn:aws:iam::<account>:role/<name>",
        )
    if not _ROLE.fullmatch(value):
        refuse(
            "not the ARN of an IAM role",
            "give one like arn:aws:iam::123456789012:role/platform-admins, without *",
        )
    return value


def _addon_version(value: str) -> str:
    if not _ADDON_VERSION.fullmatch(value):
        refuse(
            "not the full version of an EKS add-on",
            "give one like v1.22.4-eksbuild.3, never latest; `aws eks "
            "describe-addon-versions` lists them",
        )
    return value


AddonName = Literal[
    "vpc-cni",
    "kube-proxy",
    "eks-pod-identity-agent",
    "coredns",
    "aws-ebs-csi-driver",
    "eks-node-monitoring-agent",
]
AddonVersion = Annotated[str, AfterValidator(_addon_version)]
"""Full version of an EKS add-on, such as v1.22.4-eksbuild.3."""
RoleArn = Annotated[str, AfterValidator(_role)]
"""ARN of an IAM role."""


class AddonSettings(Settings):
    """Differences from the pinned default of one add-on."""

    version: AddonVersion | None = None
    """Full version, for example v1.22.4-eksbuild.3; the pinned one if left out."""
    configuration: dict[str, Any] = Field(default={}, validate_default=True)
    """Values of the add-on's own schema, merged over ours; `aws eks
    describe-addon-configuration` shows the schema."""


class HybridNodes(Settings):
    """Hosts of your own that join the cluster through a VPN or Direct Connect."""

    node_cidrs: tuple[Cidr, ...]
    """Ranges of the hosts themselves."""
    pod_cidrs: tuple[Cidr, ...]
    """Ranges of pods on them, as their CNI is set; webhooks need to reach them."""

    def contradictions(self) -> Iterator[Problem]:
        for name in ("node_cidrs", "pod_cidrs"):
            ranges: tuple[str, ...] = getattr(self, name)
            if not ranges:
                yield Problem(
                    path=name,
                    value=[],
                    reason="the control plane would have no route to the hosts",
                    fix="give their ranges, or leave hybrid_nodes out",
                )
            for index, cidr in enumerate(ranges):
                if not _within(IPv4Network(cidr), PRIVATE):
                    yield Problem(
                        path=f"{name}.{index}",
                        value=cidr,
                        reason="EKS accepts only private ranges (RFC 1918, RFC 6598)",
                        fix="give a range within 10.0.0.0/8, 172.16.0.0/12, "
                        "192.168.0.0/16 or 100.64.0.0/10",
                    )
        yield from _overlaps(
            [(f"node_cidrs.{i}", c) for i, c in enumerate(self.node_cidrs)]
            + [(f"pod_cidrs.{i}", c) for i, c in enumerate(self.pod_cidrs)]
        )


class EksSettings(Settings):
    """The cluster: private, logged, encrypted, protected from deletion."""

    name: Annotated[str, AfterValidator(_name)]
    """Name of the cluster, and prefix of the names of its resources."""
    version: Annotated[str, AfterValidator(_version)]
    """Kubernetes' minor version in quotes, for example "1.35"."""
    extended_support: bool = False
    """True stays on a version whose standard support has ended, for six times the
    price; false lets EKS upgrade the control plane automatically on that day."""
    public_access_cidrs: tuple[Cidr, ...] = ()
    """Public address ranges that may reach the API server. None: only the VPC can reach
    it, so deploy from there (VPN, runner inside)."""
    private_access_cidrs: tuple[Cidr, ...] = ()
    """Ranges outside of the nodes that reach the private endpoint: a VPN's, a build
    machine's subnet, the company's network."""
    service_cidr: Cidr = "172.20.0.0/16"
    """Range of Services' addresses. It can never be changed."""
    administrators: tuple[RoleArn, ...]
    """Roles with full access to the cluster, at least one: creating the cluster grants
    its creator no access."""
    viewers: tuple[RoleArn, ...] = ()
    """Roles that may read everything except Secrets."""
    log_retention_days: LogRetentionDays = 365
    """Days for which the control plane's logs are kept."""
    deletion_protection: bool = True
    """True: neither the engine nor the console deletes the cluster or its keys."""
    zonal_shift: bool = True
    """Whether AWS moves traffic away from a failing zone."""
    addons: dict[AddonName, AddonSettings] = Field(default={}, validate_default=True)
    """Add-ons that differ from the pinned ones."""
    network_policy_mode: Literal["standard", "strict"] = "standard"
    """Traffic of a pod until its network policies are in force, a second or two after
    its start. standard allows all traffic. strict allows none; a pod that no policy
    selects, such as an add-on's in kube-system, then never has any."""
    hybrid_nodes: HybridNodes | None = None
    """Hosts outside of AWS that may join the cluster."""

    def addon_version(self, name: AddonName) -> str:
        """The version of an add-on that is installed: given, or the pinned one."""
        given = self.addons.get(name)
        return (given and given.version) or PINNED[self.version][name]

    def contradictions(self) -> Iterator[Problem]:
        yield from kubernetes_support.problems(
            self.version,
            extended_support=self.extended_support,
            day=kubernetes_support.today(),
        )
        yield from self._addons()
        yield from self._public_access()
        yield from self._service_range()
        yield from self._principals()

    def _addons(self) -> Iterator[Problem]:
        pinned = PINNED.get(self.version, {})
        for name in get_args(AddonName):
            given = self.addons.get(name)
            if name not in pinned and not (given and given.version):
                yield Problem(
                    path=f"addons.{name}.version",
                    value=None,
                    reason="no version of this add-on is pinned for Kubernetes "
                    f"{self.version}",
                    fix="give one that `aws eks describe-addon-versions "
                    f"--kubernetes-version {self.version}` lists",
                )
        proxy = self.addons.get("kube-proxy")
        if proxy and proxy.version:
            minor = proxy.version.removeprefix("v").rsplit(".", 2)[0].partition("-")[0]
            if not f"{minor}.".startswith(f"{self.version}."):
                yield Problem(
                    path="addons.kube-proxy.version",
                    value=proxy.version,
                    reason=f"its version must match Kubernetes {self.version}",
                    fix=f"give a v{self.version}.x, or leave it out",
                )
        yield from addon_checks.problems(
            {name: it.configuration for name, it in self.addons.items()}
        )

    def _public_access(self) -> Iterator[Problem]:
        if len(self.public_access_cidrs) > MOST_PUBLIC_CIDRS:
            yield Problem(
                path="public_access_cidrs",
                value=len(self.public_access_cidrs),
                reason=f"EKS accepts at most {MOST_PUBLIC_CIDRS} ranges",
                fix="merge ranges, or use the private endpoint through a VPN",
            )
        if self.hybrid_nodes and self.public_access_cidrs:
            # https://docs.aws.amazon.com/eks/latest/userguide/hybrid-nodes-prereqs.html
            yield Problem(
                path="public_access_cidrs",
                value=list(self.public_access_cidrs),
                reason="hosts outside AWS would resolve the API server to its public "
                "address, which accepts requests from other ranges only",
                fix="leave it out while there are hybrid_nodes, and deploy through "
                "private_access_cidrs",
            )
        for index, cidr in enumerate(self.public_access_cidrs):
            network = IPv4Network(cidr)
            path = f"public_access_cidrs.{index}"
            if network.prefixlen < WIDEST_PUBLIC_PREFIX:
                yield Problem(
                    path=path,
                    value=cidr,
                    reason="it opens the API server to the internet",
                    fix="give the ranges that you deploy from, for example "
                    "203.0.113.7/32, or none for a private endpoint",
                )
            elif any(network.overlaps(private) for private in PRIVATE):
                yield Problem(
                    path=path,
                    value=cidr,
                    reason="traffic from a private range never reaches a public "
                    "endpoint",
                    fix="leave it out: the private endpoint already serves this range",
                )

    def _service_range(self) -> Iterator[Problem]:
        service = IPv4Network(self.service_cidr)
        if service.prefixlen not in SERVICE_PREFIXES or not _within(
            service, PRIVATE[:3]
        ):
            yield Problem(
                path="service_cidr",
                value=self.service_cidr,
                reason="EKS accepts a /12 to /24 within 10.0.0.0/8, 172.16.0.0/12 or "
                "192.168.0.0/16",
                fix="give one like 172.20.0.0/16 that nothing else uses",
            )
        if self.hybrid_nodes:
            found = [("service_cidr", self.service_cidr)]
            for name in ("node_cidrs", "pod_cidrs"):
                ranges: tuple[str, ...] = getattr(self.hybrid_nodes, name)
                found += [(f"hybrid_nodes.{name}.{i}", c) for i, c in enumerate(ranges)]
            yield from _overlaps(found, first_only=True)

    def _principals(self) -> Iterator[Problem]:
        if not self.administrators:
            yield Problem(
                path="administrators",
                value=[],
                reason="no one would have access to the cluster: creating it grants "
                "its creator no rights",
                fix="give the ARN of the role that deploys",
            )
        seen: dict[str, str] = {}
        for name in ("administrators", "viewers"):
            for index, role in enumerate(getattr(self, name)):
                path = f"{name}.{index}"
                if role in seen:
                    yield Problem(
                        path=path,
                        value=role,
                        reason=f"{seen[role]} has the same role, and a role can have "
                        "only one entry",
                        fix="give each role once; administrators can also view",
                    )
                seen.setdefault(role, path)


def _within(network: IPv4Network, ranges: tuple[IPv4Network, ...]) -> bool:
    return any(network.subnet_of(range_) for range_ in ranges)


def _overlaps(
    ranges: list[tuple[str, str]], *, first_only: bool = False
) -> Iterator[Problem]:
    """Pairs that share addresses; with `first_only` those with the first range."""
    for index, (path, cidr) in enumerate(ranges):
        for other_path, other in ranges[: 1 if first_only and index else index]:
            if IPv4Network(cidr).overlaps(IPv4Network(other)):
                yield Problem(
                    path=path,
                    value=cidr,
                    reason=f"it overlaps {other_path} ({other})",
                    fix="give ranges that do not overlap",
                )
