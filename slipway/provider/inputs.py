"""Inputs of the provider's components: their settings, and values from stacks."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from components import naming
from components.cluster.eks_settings import EksSettings
from components.cluster.iam.arns import Arns
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.storage.storage_settings import StorageSettings
from components.observability.settings import AlertmanagerSettings, PrometheusSettings
from components.platform.keda_settings import KedaSettings
from components.platform.settings import (
    EnvoyGatewaySettings,
    GatewayApiSettings,
    GatewaySettings,
    NamespaceSettings,
)
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.settings.serving_platform import ServingPlatform
from components.setting_types import Namespace
from components.settings import Problem, Settings

_MODELS: tuple[Namespace, ...] = (naming.MODELS_NAMESPACE,)


class ModelServerInputs(ModelServerArgs):
    """A model server and what it finds in its cluster."""

    platform: ServingPlatform = ServingPlatform()
    """Names in the cluster: namespaces and the Gateway."""
    known_prefixes: tuple[str, ...] = ()
    """API versions of other models, which a 404 response lists too."""

    def contradictions(self) -> Iterator[Problem]:
        """Reject rollouts, whose controller these programs cannot create."""
        yield from super().contradictions()
        for name in ("rollout", "experiment"):
            if getattr(self, name):
                yield Problem(
                    name,
                    "set",
                    "a program in another language cannot create the rollout "
                    "controller, which moves the weights",
                    f"remove {name} and give each revision a weight, or use a stack of "
                    "the layer models",
                )


class NamespacesInputs(NamespaceSettings):
    """The namespaces of model servers."""

    keda: bool = False
    """Whether KEDA scales models in them."""


class GatewayApiInputs(GatewayApiSettings):
    """Definitions of the Gateway API."""

    gateway: EnvoyGatewaySettings = Field(default={}, validate_default=True)
    """The controller whose definitions are installed too."""


class EnvoyGatewayInputs(EnvoyGatewaySettings):
    """The gateway's controller."""

    namespaces: tuple[Namespace, ...] = _MODELS
    """Namespaces whose routes it reads."""


class GatewayInputs(GatewaySettings):
    """The Gateway and its proxies."""

    authority: str = "platform"
    """Name of its own certificate authority, if it has one."""


class KedaInputs(KedaSettings):
    """KEDA."""

    namespaces: tuple[Namespace, ...] = _MODELS
    """Namespaces in which it scales."""


class AlertmanagerInputs(AlertmanagerSettings):
    """Alertmanager."""

    recorder: str | None = None
    """URL that also gets every alert."""


class PrometheusInputs(PrometheusSettings):
    """Prometheus."""

    alertmanager: str | None = None
    """Address of the Alertmanager, as host:port."""


class _OfAccount(Settings):
    """The account of a cluster's part on AWS."""

    account: str
    """12 digits."""
    region: str
    """Such as eu-central-1."""

    @property
    def arns(self) -> Arns:
        """ARNs of the account and region."""
        return Arns(self.account, self.region)


class NetworkInputs(NetworkSettings, _OfAccount):
    """A cluster's network."""

    cluster: str
    """The cluster's name."""
    protect: bool = True
    """Whether key and bucket of flow logs are protected from deletion."""


class StorageInputs(StorageSettings, _OfAccount):
    """A cluster's buckets and repositories."""

    cluster: str
    """The cluster's name."""


class EksInputs(EksSettings, _OfAccount):
    """An EKS cluster; its subnets are those of a Network."""
