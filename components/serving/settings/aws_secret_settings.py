"""A Secret that the External Secrets Operator fills from AWS Secrets Manager."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.serving.settings.variable_types import SecretName
from components.setting_types import Whole
from components.settings import Settings, refuse

_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_ARN = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}"
)


def _secret(text: str) -> str:
    if not _NAME.fullmatch(text) and not _ARN.fullmatch(text):
        refuse(
            "it is neither a name nor an ARN of a secret in AWS Secrets Manager",
            "give one such as prod/database: letters, digits and / _ + = . @ -",
        )
    return text


class AwsSecret(Settings):
    """Where the operator finds the values.

    The cluster must have it, and a store that may read the secret; nothing here
    installs either (https://external-secrets.io/latest/provider/aws-secrets-manager/).
    """

    secret: Annotated[str, AfterValidator(_secret)]
    """Name or ARN of the secret in AWS Secrets Manager."""
    store: SecretName
    """Name of the store in the cluster, which defines region and role."""
    store_kind: Literal["ClusterSecretStore", "SecretStore"] = "ClusterSecretStore"
    """Whether the store belongs to the cluster or to the models' namespace."""
    form: Literal["json", "text"] = "json"
    """`json`: each key is a property of the secret's JSON; `text`: the secret is one
    text, the value of the only key."""
    refresh_minutes: Annotated[Whole, Field(ge=1, le=10_080)] = 60
    """Interval at which the operator reads the secret again. AWS bills each call."""
