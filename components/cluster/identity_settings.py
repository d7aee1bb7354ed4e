"""Settings of what the pods of a service account may do in the AWS account."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components import reserved_names
from components.cluster.storage.storage_settings import RepositoryName
from components.setting_types import DnsLabel, Namespace
from components.settings import Problem, Settings, refuse

_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)+")


def _prefix(value: str) -> str:
    if value and not _PREFIX.fullmatch(value):
        refuse(
            "not a valid prefix of object names",
            "give folders that each end in a slash, for example employment/; no * and "
            "no leading slash",
        )
    return value


class WorkloadIdentity(Settings):
    """The rights of one service account; each is none unless it is given."""

    namespace: Namespace
    """Namespace of the service account."""
    service_account: DnsLabel
    """Name of the service account; only its pods get the role."""
    models: Literal["read", "write"] | None = None
    """Access to the model bucket. `read`: read objects; `write`: also create objects,
    but not delete them."""
    prediction_logs: Literal["read", "write"] | None = None
    """Access to the prediction-log bucket. `write`: create objects, but not read
    them."""
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    """Limits both to objects with this prefix, for example employment/; empty: all
    objects."""
    repositories: dict[RepositoryName, Literal["pull", "push"]] = Field(
        default={}, validate_default=True
    )
    """Repositories of storage.repositories; `push` pulls too. Nodes pull a pod's own
    image with their role; this is for pods that build or copy images."""

    def contradictions(self) -> Iterator[Problem]:
        if not (self.models or self.prediction_logs or self.repositories):
            yield Problem(
                path="service_account",
                value=self.service_account,
                reason="the identity grants no rights, so its role would have no use",
                fix="give models, prediction_logs or repositories, or leave it out",
            )
        if reserved_names.is_of_add_ons(self.namespace):
            yield Problem(
                path="namespace",
                value=self.namespace,
                reason="service accounts in this namespace belong to add-ons, whose "
                "roles the components create",
                fix="give the namespace of your own pods, for example models",
            )
        if self.prefix and not (self.models or self.prediction_logs):
            yield Problem(
                path="prefix",
                value=self.prefix,
                reason="it limits access to buckets, but the identity has access to "
                "none",
                fix="give models or prediction_logs, or leave prefix out",
            )


def problems(
    identities: Mapping[str, WorkloadIdentity], repositories: Collection[str]
) -> Iterator[Problem]:
    """What is wrong among identities, or between them and the storage's repositories.

    Paths begin with the identity's name.
    """
    owners: dict[tuple[str, str], str] = {}
    for name, identity in identities.items():
        account = (identity.namespace, identity.service_account)
        if account in owners:
            yield Problem(
                path=f"{name}.service_account",
                value=identity.service_account,
                reason=f"{owners[account]} has the same service account, and EKS "
                "gives a service account only one role",
                fix="put all its rights into one identity",
            )
        owners.setdefault(account, name)
        for repository in identity.repositories:
            if repository not in repositories:
                yield Problem(
                    path=f"{name}.repositories.{repository}",
                    value=repository,
                    reason="storage.repositories has no such repository",
                    fix=f"add it there, or give one of {', '.join(repositories)}"
                    if repositories
                    else "add it there",
                )
