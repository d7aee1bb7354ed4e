"""The cluster of a stack, and its provider."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pulumi
import pulumi_kubernetes as kubernetes
from pydantic import AfterValidator, Field

from components import lookups
from components.cluster.existing import kubeconfig as eks
from components.cluster.existing import kubeconfig_files
from components.cluster.existing.outputs import ClusterOutputs
from components.cluster.existing.terraform_settings import TerraformState
from components.setting_types import RoleArn
from components.settings import Problem, Settings, refuse
from toolchain import paths

LAB = "lab"
AMBIENT = "ambient"
LAYER = "cluster."


def _stack(value: str) -> str:
    if not value.startswith(LAYER) or value == LAYER:
        refuse(
            "not a stack of the layer that creates clusters",
            f"give {LAYER}<environment>, for example cluster.dev",
        )
    return value


class ClusterAccess(Settings):
    """The source of the cluster's address and credentials: exactly one."""

    kubeconfig: Annotated[str, Field(min_length=1)] | None = None
    """`lab` for this machine's lab, `ambient` for $KUBECONFIG or ~/.kube/config, or
    the path of a kubeconfig (a relative one starts at the checkout). Where no source is
    given: `ambient`."""
    context: str | None = None
    """Context of the kubeconfig; default: its current context."""
    stack: Annotated[str, AfterValidator(_stack)] | None = None
    """The stack of this project that creates the cluster, for example cluster.dev."""
    terraform: TerraformState | None = None
    """Reads the cluster from a Terraform or OpenTofu state."""
    role: RoleArn | None = None
    """IAM role for access to the API server, with stack or terraform; default: the
    caller's own. It must have an access entry."""

    def contradictions(self) -> Iterator[Problem]:
        given = [n for n in ("kubeconfig", "stack", "terraform") if getattr(self, n)]
        for extra in given[1:]:
            yield Problem(
                path=extra,
                value=getattr(self, extra),
                reason=f"the cluster is already given by {given[0]}",
                fix=f"give one source: remove {' or '.join(given)}",
            )
        others = [name for name in given if name != "kubeconfig"]
        if self.context and others:
            yield Problem(
                path="context",
                value=self.context,
                reason=f"only a kubeconfig has contexts, but {others[0]} is given",
                fix="remove it",
            )
        if self.role and not others:
            yield Problem(
                path="role",
                value=self.role,
                reason="a kubeconfig already defines its credentials",
                fix="remove it, or have the kubeconfig's exec assume the role",
            )


def kubeconfig(access: ClusterAccess) -> pulumi.Input[str] | None:
    """The kubeconfig's path or content; None leaves it to the provider's defaults."""
    if access.stack:
        return eks.output(outputs(access.stack).connection, access.role)
    if access.terraform:
        if warning := access.terraform.warning():
            pulumi.log.warn(warning)
        return eks.output(access.terraform.connection(), access.role)
    if access.kubeconfig in (AMBIENT, None):
        return _ambient(access.context)
    if access.kubeconfig == LAB:
        return str(paths.state() / "labs" / "lab" / "kubeconfig")
    return str(paths.PROJECT / Path(access.kubeconfig).expanduser())


def _ambient(context: str | None) -> str | None:
    """The only file of $KUBECONFIG, if its path is enough for the provider.

    None otherwise, for the provider to merge several files and to look up relative
    paths beside them, neither of which it does for a file that it is given.
    """
    files = kubeconfig_files.ambient()
    if kubeconfig_files.VARIABLE not in os.environ or len(files) != 1:
        return None
    try:
        found = kubeconfig_files.Kubeconfig.of_files(files).access(context)
    except kubeconfig_files.KubeconfigError:
        return str(files[0].absolute())
    return None if list(found.relative_paths()) else str(files[0].absolute())


def _own_kubeconfig(
    args: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult:
    # The SDK puts $KUBECONFIG where no kubeconfig is given, also if it is a list of
    # files, which the provider takes for a kubeconfig's content.
    props = {**args.props, "kubeconfig": None}
    return pulumi.ResourceTransformationResult(props, args.opts)


def outputs(stack: str) -> ClusterOutputs:
    """Return the cluster stack's outputs; unknown in a preview before its creation."""
    if lookups.is_unmade(stack):
        return ClusterOutputs.unknown()
    return ClusterOutputs.of_stack(stack)


def provider(access: ClusterAccess, name: str = "cluster") -> kubernetes.Provider:
    """The provider for all of a stack's resources.

    No file has to be there: a preview by `slipway render` needs no cluster.
    """
    given = kubeconfig(access)
    options = pulumi.ResourceOptions(transformations=[] if given else [_own_kubeconfig])
    return kubernetes.Provider(
        name,
        options,
        kubeconfig=given,
        context=access.context,
        enable_server_side_apply=True,
        # Else a change deletes the ConfigMap first: alert rules would be gone for
        # a moment. What must restart with its configuration carries its digest.
        enable_config_map_mutable=True,
        # Likewise a certificate that is renewed, and the keys of callers.
        enable_secret_mutable=True,
    )
