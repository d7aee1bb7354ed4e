"""The cloud identity of a model server's pods."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, TypeAdapter, ValidationError

from components.cluster.nodes.taint import LabelKey
from components.setting_types import RoleArn
from components.settings import Problem, Settings

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
"""https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html"""
_LARGEST_KIB = 256


class ServiceAccount(Settings):
    """The service account of a model server's pods, which has the server's name.

    No pod is given its API token.
    """

    annotations: dict[LabelKey, str] = Field(default={}, validate_default=True)
    """Annotations, by which clouds and operators find their roles; for example
    eks.amazonaws.com/role-arn or iam.gke.io/gcp-service-account."""
    pod_identity: bool = False
    """Whether the pods have a role by EKS Pod Identity, as `identities` of the cluster
    stack makes it: they may reach the node's agent that provides its credentials. The
    AWS services themselves still need `egress`."""

    def contradictions(self) -> Iterator[Problem]:
        """Two roles, or an invalid one; more than an object may hold."""
        role = self.annotations.get(ROLE_ANNOTATION)
        if role is not None and not _is_role(role):
            yield Problem(
                f"annotations.{ROLE_ANNOTATION}",
                role,
                "not the ARN of an IAM role",
                "give one like arn:aws:iam::111122223333:role/employment",
            )
        if role is not None and self.pod_identity:
            yield Problem(
                "pod_identity",
                self.pod_identity,
                f"the annotation {ROLE_ANNOTATION} already gives the pods a role",
                "set only one of the two",
            )
        size = sum(len(f"{k}{v}".encode()) for k, v in self.annotations.items())
        if size > _LARGEST_KIB * 1024:
            yield Problem(
                "annotations",
                f"{size} bytes",
                f"an object's annotations are limited to {_LARGEST_KIB} KiB",
                "shorten them",
            )


def _is_role(text: str) -> bool:
    try:
        TypeAdapter(RoleArn).validate_python(text)
    except ValidationError:
        return False
    return True
