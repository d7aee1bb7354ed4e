"""Settings of the layer `cluster`: one stack file, parsed once."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from components.cluster import container_logs_settings, stack_checks
from components.cluster.account_settings import AccountSettings
from components.cluster.container_logs_settings import ContainerLogsSettings
from components.cluster.eks_settings import EksSettings
from components.cluster.identity_settings import WorkloadIdentity
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import PoolName
from components.cluster.nodes.node_pool_settings import NodePool
from components.cluster.storage.storage_settings import StorageSettings
from components.setting_types import DnsLabel
from components.settings import Problem, Settings


class ClusterSettings(Settings):
    """All settings of a stack cluster.<environment>."""

    account: AccountSettings
    """Which AWS account and region."""
    cluster: EksSettings
    """The EKS cluster itself."""
    network: NetworkSettings
    """The VPC."""
    pools: dict[PoolName, NodePool]
    """Pools of nodes by name, of three kinds; at least one of kind system."""
    storage: StorageSettings = Field(default={}, validate_default=True)
    """Buckets, image repositories and their keys."""
    identities: dict[DnsLabel, WorkloadIdentity] = Field(
        default={}, validate_default=True
    )
    """AWS permissions of service accounts, by identity name."""

    container_logs: ContainerLogsSettings | None = None
    """Sends all containers' logs to CloudWatch; default: logs stay on the nodes."""

    @property
    def reservations(self) -> list[str]:
        """Capacity reservations that elastic pools use."""
        pools = [it for it in self.pools.values() if isinstance(it, ElasticPool)]
        return [one for pool in pools for one in pool.reservations]

    def contradictions(self) -> Iterator[Problem]:
        """Between the parts; each part checks itself."""
        yield from stack_checks.problems(self)
        if self.container_logs:
            yield from container_logs_settings.problems(self, self.container_logs)
