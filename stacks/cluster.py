"""The layer `cluster`: network, EKS, nodes, identity and storage in an AWS account."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.cluster import workload_policies
from components.cluster.account_settings import AccountSettings
from components.cluster.arns import Arns
from components.cluster.eks import Eks
from components.cluster.identity import NodeRole, PodIdentity
from components.cluster.network import Network
from components.cluster.outputs import ClusterOutputs
from components.cluster.settings import ClusterSettings
from components.cluster.storage import ModelStorage
from components.settings import parse
from stacks import config


@dataclass(frozen=True)
class Place:
    """Where parts are made."""

    arns: Arns
    provider: aws.Provider

    def after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        """Options of a part that is made after these, and deleted before them."""
        return pulumi.ResourceOptions(
            providers=[self.provider], depends_on=list(resources)
        )


def run() -> None:
    """Declares the stack; the order of deletion follows from what depends on what."""
    source = f"stacks/config/Pulumi.{pulumi.get_stack()}.yaml"
    settings = parse(ClusterSettings, config.read(), source)
    account, name = settings.account, settings.cluster.name
    arns = Arns(account.id, account.region)
    place = Place(arns, provider(account))
    network = Network(
        "network",
        settings.network,
        cluster=name,
        arns=arns,
        protect=settings.storage.protect,
        opts=place.after(),
    )
    storage = ModelStorage(
        "storage", settings.storage, cluster=name, arns=arns, opts=place.after()
    )
    eks = Eks(
        "eks",
        settings.cluster,
        arns=arns,
        vpc_id=network.vpc_id,
        subnets=list(network.intra_subnets.values()),
        opts=place.after(),
    )
    role = NodeRole("nodes", cluster=name, arns=arns, opts=place.after())
    add_identities(settings, eks, place)
    ClusterOutputs(
        name=eks.name,
        region=account.region,
        account=account.id,
        version=settings.cluster.version,
        endpoint=eks.endpoint,
        certificate_authority=eks.certificate_authority,
        vpc=network.vpc_id,
        private_subnets=network.private_subnets,
        node_role=role.role_name,
        model_bucket=storage.model_bucket.name,
        prediction_log_bucket=storage.log_bucket.name,
        repositories=storage.repositories,
    ).export()


def add_identities(settings: ClusterSettings, eks: Eks, place: Place) -> None:
    """A role for each service account that the settings give rights."""
    name, arns = settings.cluster.name, place.arns
    for key, identity in settings.identities.items():
        PodIdentity(
            f"identity-{key}",
            arns=arns,
            cluster=name,
            namespace=identity.namespace,
            service_account=identity.service_account,
            policy=workload_policies.workload(arns, identity, name),
            after=[eks.cluster],
            opts=place.after(),
        )


def provider(account: AccountSettings) -> aws.Provider:
    """The one provider of all resources; it refuses credentials of other accounts."""
    return aws.Provider(
        "aws",
        region=account.region,
        allowed_account_ids=[account.id],
        default_tags={
            "tags": {"slipway.dev/stack": pulumi.get_stack(), **account.tags}
        },
    )
