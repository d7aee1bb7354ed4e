"""Settings of a cluster that Terraform made, and what its state says of it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import pulumi
from pydantic import AfterValidator, Field

from components import lookups
from components.cluster.existing import terraform_state
from components.cluster.existing.kubeconfig import Connection
from components.cluster.existing.outputs import placeholder
from components.cluster.existing.terraform_state import (
    S3,
    State,
    TerraformStateError,
    Value,
)
from components.settings import Problem, Settings, refuse
from toolchain import paths

_S3_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/\S+")
NAMES = tuple(field.name for field in fields(Connection))


def _path(value: str) -> str:
    if value.startswith(S3) and not _S3_ADDRESS.fullmatch(value):
        refuse("not the address of an object", "give s3://<bucket>/<key>")
    if "://" in value and not value.startswith(S3):
        refuse(
            "states are read only from files and from S3",
            "`terraform state pull > FILE` writes it to a file, for any backend",
        )
    return value


class TerraformOutputs(Settings):
    """Names of the Terraform configuration's outputs that describe the cluster."""

    name: Annotated[str, Field(min_length=1)] = "cluster_name"
    """The output with the cluster's name."""
    region: Annotated[str, Field(min_length=1)] = "region"
    """The output with its region."""
    endpoint: Annotated[str, Field(min_length=1)] = "cluster_endpoint"
    """The output with the API server's address."""
    certificate_authority: Annotated[str, Field(min_length=1)] = (
        "cluster_certificate_authority_data"
    )
    """The output with the API server's CA: PEM, base64."""


class TerraformState(Settings):
    """A cluster from the state of Terraform or OpenTofu, format version 4."""

    path: Annotated[str, Field(min_length=1), AfterValidator(_path)]
    """File (a relative one starts at the checkout) or s3://bucket/key of the state."""
    address: str | None = None
    """Address of the aws_eks_cluster, as in `terraform state list`, if the state has
    several."""
    outputs: TerraformOutputs | None = None
    """Reads the cluster from outputs instead of its aws_eks_cluster."""

    def contradictions(self) -> Iterator[Problem]:
        if self.address and self.outputs:
            yield Problem(
                path="address",
                value=self.address,
                reason="the cluster is taken from outputs",
                fix="remove address or outputs",
            )
        elif lookups.allowed():
            try:
                _ = self.found
            except TerraformStateError as error:
                yield Problem("path", self.path, error.reason, error.fix)

    def connection(self) -> Connection:
        """Return the connection; placeholders if nothing is looked up."""
        if not lookups.allowed():
            return Connection(**{name: placeholder(name) for name in NAMES})
        return Connection(
            **{
                name: pulumi.Output.secret(value.content)
                if value.sensitive
                else value.content
                for name, value in self.found.items()
            }
        )

    def warning(self) -> str:
        """Return a warning about the cluster; empty if there is none."""
        if self.outputs or not lookups.allowed():
            return ""
        address = terraform_state.chosen(self._state, self.address)
        if address not in self._state.tainted:
            return ""
        return (
            f"{address} in {self.path} is tainted: the next `terraform apply` "
            "deletes this cluster and makes another; `terraform untaint` keeps it"
        )

    @functools.cached_property
    def found(self) -> dict[str, Value]:
        """Return the state's values, by names of a Connection; TerraformStateError."""
        if self.outputs:
            return terraform_state.of_outputs(self._state, self.outputs.model_dump())
        return terraform_state.of_attributes(
            terraform_state.cluster(self._state, self.address)
        )

    @functools.cached_property
    def _state(self) -> State:
        location = self.path
        if not location.startswith(S3):
            location = str(paths.PROJECT / Path(location).expanduser())
        return terraform_state.load(location)
