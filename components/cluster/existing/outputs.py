"""Outputs of a cluster's stack for the layers above it: exported there, read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import pulumi

from components.cluster.existing.kubeconfig import Connection


class MissingOutputError(LookupError):
    """A cluster's stack lacks an output: its creation was not completed."""


@dataclass(frozen=True)
class ClusterOutputs:
    """A cluster as others need to know it; the fields are the stack's outputs."""

    name: pulumi.Input[str]
    """Name of the EKS cluster, which prefixes many AWS names."""
    region: pulumi.Input[str]
    """Its region."""
    account: pulumi.Input[str]
    """The account's 12 digits."""
    version: pulumi.Input[str]
    """Version of Kubernetes: `1.34`."""
    endpoint: pulumi.Input[str]
    """Address of the API server: https://..."""
    certificate_authority: pulumi.Input[str]
    """Authority of the API server's certificate: PEM, base64."""
    vpc: pulumi.Input[str]
    """Id of the VPC."""
    private_subnets: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Subnet id by zone."""
    node_role: pulumi.Input[str]
    """Name of the IAM role of all nodes."""
    model_bucket: pulumi.Input[str]
    """Bucket of the models."""
    prediction_log_bucket: pulumi.Input[str]
    """Bucket of the prediction logs."""
    repositories: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Address of each image repository, by its name."""

    def export(self) -> None:
        """Makes each field an output of the running stack."""
        for name, value in self._values().items():
            pulumi.export(name, value)

    @property
    def connection(self) -> Connection:
        """Return the data for connecting to the API server."""
        return Connection(
            self.name, self.region, self.endpoint, self.certificate_authority
        )

    @classmethod
    def of_stack(cls, stack: str) -> Self:
        """The outputs of another stack of this project, read when the engine runs."""
        project, organization = pulumi.get_project(), pulumi.get_organization()
        reference = pulumi.StackReference(
            stack, stack_name=f"{organization}/{project}/{stack}"
        )

        def read(name: str) -> pulumi.Output[Any]:
            return reference.outputs.apply(lambda all_: required(all_, name, stack))

        return cls(**{name: read(name) for name in cls.names()})

    @classmethod
    def unknown(cls) -> Self:
        """Outputs of a stack that is yet to be made, for a preview."""
        return cls(**{name: _unknown() for name in cls.names()})

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of all fields, which are those of the outputs."""
        return tuple(field.name for field in fields(cls))

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.names()}


def required(outputs: Mapping[str, Any], name: str, stack: str) -> Any:
    """The output; MissingOutputError if the stack's creation was not completed."""
    if outputs.get(name) is None:
        raise MissingOutputError(
            f"{stack} has no output {name!r}: its last run did not finish, or used "
            f"another version. Run: slipway up {stack}"
        )
    return outputs[name]


def placeholder(name: str) -> Any:
    """Return the placeholder of an output if nothing is looked up."""
    if name in ("private_subnets", "repositories"):
        return {}
    return f"({name} of the cluster)"


def _unknown() -> pulumi.Output[Any]:
    return pulumi.Output.from_input(pulumi.UNKNOWN)
