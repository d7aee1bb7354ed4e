"""The interface of checks between the parts of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from components.cluster.account_settings import AccountSettings
from components.cluster.eks_settings import EksSettings
from components.cluster.identity_settings import WorkloadIdentity
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.nodes.node_pool_settings import NodePool
from components.cluster.storage.storage_settings import StorageSettings


class ClusterParts(Protocol):
    """The settings of a stack of the layer `cluster`; `ClusterSettings` has them."""

    @property
    def account(self) -> AccountSettings: ...
    @property
    def cluster(self) -> EksSettings: ...
    @property
    def network(self) -> NetworkSettings: ...
    @property
    def pools(self) -> Mapping[str, NodePool]: ...
    @property
    def storage(self) -> StorageSettings: ...
    @property
    def identities(self) -> Mapping[str, WorkloadIdentity]: ...
