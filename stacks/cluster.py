"""The layer `cluster`: network, EKS, nodes, identity and storage in an AWS account."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.cluster import workload_policies
from components.cluster.addons import Addons, Stage
from components.cluster.autoscaler import Autoscaler
from components.cluster.container_logs import ContainerLogs, ContainerLogsArgs
from components.cluster.eks import Eks
from components.cluster.existing.outputs import ClusterOutputs
from components.cluster.iam.arns import Arns
from components.cluster.iam.identity import NodeRole, PodIdentity
from components.cluster.network.network import Network
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.facts import ClusterFacts
from components.cluster.nodes.node_group import NodeGroup
from components.cluster.nodes.system_pool import SystemPool
from components.cluster.settings import ClusterSettings
from components.cluster.storage.storage import ModelStorage
from stacks import config
from stacks.account import Place, provider


def run() -> None:
    """Declares the stack; the order of deletion follows from what depends on what."""
    settings = config.settings(ClusterSettings)
    account, name = settings.account, settings.cluster.name
    arns = Arns(account.id, account.region)
    place = Place(arns, provider(account, pulumi.get_stack()))
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
    add_nodes(settings, network, eks, role, place)
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


def add_nodes(
    settings: ClusterSettings, network: Network, eks: Eks, role: NodeRole, place: Place
) -> None:
    """Add-ons that nodes start with, the nodes, add-ons that start on them."""
    autoscaler = Autoscaler(
        "autoscaler",
        cluster=settings.cluster.name,
        arns=place.arns,
        node_role_arn=role.arn,
        reservations=settings.reservations,
        after=[eks.cluster],
        opts=place.after(),
    )
    first = add_addons("before_nodes", settings, network, [eks.cluster], place)
    facts = ClusterFacts(
        name=settings.cluster.name,
        version=settings.cluster.version,
        security_group_id=eks.security_group_id,
        endpoint=eks.endpoint,
        certificate_authority=eks.certificate_authority,
        service_cidr=settings.cluster.service_cidr,
        tags=settings.account.tags,
    )
    groups = {
        name: NodeGroup(
            f"pool-{name}",
            pool,
            pool_name=name,
            cluster=facts,
            node_role_arn=role.arn,
            subnets=network.private_subnets,
            opts=place.after(*role.rights, autoscaler.node_access, *first.addons),
        )
        for name, pool in settings.pools.items()
        if not isinstance(pool, ElasticPool)
    }
    system = [groups[n] for n, p in settings.pools.items() if isinstance(p, SystemPool)]
    add_addons("after_nodes", settings, network, system, place)
    if settings.container_logs:
        name, logs = settings.cluster.name, settings.container_logs
        args = ContainerLogsArgs(name, place.arns, settings.storage.protect, system)
        ContainerLogs("container-logs", logs, args, opts=place.after())


def add_addons(
    stage: Stage,
    settings: ClusterSettings,
    network: Network,
    after: Sequence[pulumi.Resource],
    place: Place,
) -> Addons:
    """The add-ons of a stage; `after` is what they are called or run by."""
    return Addons(
        f"addons-{stage.replace('_', '-')}",
        settings.cluster,
        stage,
        arns=place.arns,
        vpc_id=network.vpc_id,
        after=after,
        opts=place.after(),
    )


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
