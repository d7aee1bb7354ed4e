"""Which entries of a Secret an application gets, and as what."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from components.serving.settings.aws_secret_settings import AwsSecret
from components.serving.settings.variable_types import FilePath, SecretKey, VariableName
from components.settings import ABSENT, Problem, Settings


class SecretUse(Settings):
    """Entries of one Secret in the models' namespace.

    Their values never appear here: a pod names the Secret and the key, and the kubelet
    fills in the value.
    """

    variables: dict[VariableName, SecretKey] = Field(default={}, validate_default=True)
    """Keys of the Secret by environment variable. A variable keeps its value until the
    pod restarts."""
    files: dict[FilePath, SecretKey] = Field(default={}, validate_default=True)
    """Keys of the Secret by file path, for example /etc/database/ca.crt. The whole
    folder is a read-only volume, which hides the image's files there; a changed Secret
    changes the file within about a minute."""

    aws: AwsSecret | None = None
    """Lets the External Secrets Operator create the Secret from one in AWS Secrets
    Manager; its name in the cluster is `<server>-<name>`."""

    @property
    def keys(self) -> list[str]:
        """All keys that are used, each once."""
        return sorted({*self.variables.values(), *self.files.values()})

    def contradictions(self) -> Iterator[Problem]:
        """Nothing that is used; several keys of one text."""
        if not self.variables and not self.files:
            yield Problem(
                "variables",
                ABSENT,
                "no key of the Secret is used",
                "give variables or files, or remove the Secret",
            )
        if self.aws and self.aws.form == "text" and len(self.keys) > 1:
            yield Problem(
                "aws.form",
                self.aws.form,
                f"form: text has no keys, but {len(self.keys)} are used: "
                f"{', '.join(self.keys)}",
                "use one key, or set form: json",
            )
