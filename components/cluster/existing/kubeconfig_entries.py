"""Entries of a kubeconfig, with the types of Kubernetes' own clients.

https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    model_validator,
)


class _Entry(BaseModel):
    """Fields as kubeconfigs have them; null is the same as not given."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: Any) -> Any:
        if content is None:
            return {}
        if isinstance(content, dict):
            return {key: value for key, value in content.items() if value is not None}
        return content


class Cluster(_Entry):
    """The address of an API server, and the authority of its certificate."""

    server: StrictStr = ""
    authority: StrictStr = Field("", alias="certificate-authority")
    authority_data: StrictStr = Field("", alias="certificate-authority-data")
    insecure: StrictBool = Field(default=False, alias="insecure-skip-tls-verify")
    tls_server_name: StrictStr = Field("", alias="tls-server-name")
    proxy_url: StrictStr = Field("", alias="proxy-url")


class Variable(_Entry):
    """One variable of a program's environment."""

    name: StrictStr
    value: StrictStr = ""


class Exec(_Entry):
    """A program that gives credentials."""

    api_version: StrictStr = Field("", alias="apiVersion")
    command: StrictStr = ""
    args: tuple[StrictStr, ...] = ()
    env: tuple[Variable, ...] = ()
    hint: StrictStr = Field("", alias="installHint")
    cluster_info: StrictBool = Field(default=False, alias="provideClusterInfo")


class User(_Entry):
    """The credentials of a client."""

    token: StrictStr = Field("", repr=False)
    token_file: StrictStr = Field("", alias="tokenFile")
    certificate: StrictStr = Field("", alias="client-certificate")
    certificate_data: StrictStr = Field("", alias="client-certificate-data")
    key: StrictStr = Field("", alias="client-key")
    key_data: StrictStr = Field("", alias="client-key-data", repr=False)
    username: StrictStr = ""
    password: StrictStr = Field("", repr=False)
    exec: Exec | None = None
    auth_provider: dict[str, Any] | None = Field(
        None, alias="auth-provider", repr=False
    )


class Context(_Entry):
    """A cluster and a user of it."""

    cluster: StrictStr = ""
    user: StrictStr = ""


class NamedCluster(_Entry):
    """An entry of `clusters`."""

    name: StrictStr
    cluster: Cluster = Cluster()


class NamedUser(_Entry):
    """An entry of `users`."""

    name: StrictStr
    user: User = User()


class NamedContext(_Entry):
    """An entry of `contexts`."""

    name: StrictStr
    context: Context = Context()


class File(_Entry):
    """One kubeconfig."""

    current: StrictStr = Field("", alias="current-context")
    clusters: tuple[NamedCluster, ...] = ()
    users: tuple[NamedUser, ...] = ()
    contexts: tuple[NamedContext, ...] = ()
