"""Which cluster a stack works on, and the provider that talks to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pulumi_kubernetes as kubernetes
from pydantic import Field

from components.settings import Settings
from lab import paths

LAB = "lab"
AMBIENT = "ambient"


class ClusterAccess(Settings):
    """Where the cluster's address and credentials come from."""

    kubeconfig: Annotated[str, Field(min_length=1)] = AMBIENT
    """`lab` for this machine's lab, `ambient` for $KUBECONFIG or ~/.kube/config, or
    the path of a kubeconfig (a relative one starts at the checkout)."""
    context: str | None = None
    """Context of the kubeconfig; default: its current one."""


def kubeconfig(access: ClusterAccess) -> str | None:
    """The kubeconfig's path; None leaves the choice to the provider's defaults."""
    if access.kubeconfig == AMBIENT:
        return None
    if access.kubeconfig == LAB:
        return str(paths.state() / "labs" / "lab" / "kubeconfig")
    return str(paths.ROOT / Path(access.kubeconfig).expanduser())


def provider(access: ClusterAccess, name: str = "cluster") -> kubernetes.Provider:
    """The provider for all of a stack's resources.

    The file is not looked at here: a preview by `slipway render` needs no cluster.
    """
    return kubernetes.Provider(
        name,
        kubernetes.ProviderArgs(
            kubeconfig=kubeconfig(access),
            context=access.context,
            enable_server_side_apply=True,
            # Else a change deletes the ConfigMap first: alert rules would be gone for
            # a moment. What must restart with its configuration carries its digest.
            enable_config_map_mutable=True,
        ),
    )
