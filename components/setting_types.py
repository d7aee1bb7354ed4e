"""Types of settings' values; each rejects values with a reason and a fix."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from components.settings import refuse

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}")
_DNS_SUBDOMAIN = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
_LONGEST_LABEL = 63
_LONGEST_SUBDOMAIN = 253
_LONGEST_MODEL_NAME = 40
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._~-]*)+")
_LONGEST_PREFIX = 200


def _not_boolean(value: Any) -> Any:
    # In Python, booleans are integers; in YAML they are not.
    if isinstance(value, bool):
        refuse("it is true or false, but a number is required", "give a number")
    return value


def _role_arn(text: str) -> str:
    if not _ROLE_ARN.fullmatch(text):
        refuse(
            "not the ARN of an IAM role",
            "give one like arn:aws:iam::111122223333:role/platform-admin; of a role, "
            "not of a user, a session (sts) or an instance profile",
        )
    return text


def short(text: str, longest: int) -> str:
    """The text, if it is not longer than that."""
    if len(text) > longest:
        refuse(f"it is longer than {longest} characters", "shorten it")
    return text


def _dns_label(text: str, longest: int = _LONGEST_LABEL) -> str:
    if not _DNS_LABEL.fullmatch(text):
        refuse(
            "not a valid Kubernetes name",
            "use a-z, 0-9 and - between them, with a letter first",
        )
    return short(text, longest)


def dns_subdomain(text: str, *, example: str = "fast.example.com") -> str:
    if not _DNS_SUBDOMAIN.fullmatch(text):
        refuse(
            "not a valid Kubernetes name",
            f"use a-z and 0-9, with - and single dots between them, such as {example}",
        )
    return short(text, _LONGEST_SUBDOMAIN)


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        refuse(
            "not a valid namespace name",
            f"give up to {_LONGEST_LABEL} lower-case letters, digits and dashes",
        )
    return text


def _model_name(text: str) -> str:
    return _dns_label(text, _LONGEST_MODEL_NAME)


def path_prefix(text: str) -> str:
    """The path, if it is one."""
    if not _PATH_PREFIX.fullmatch(text):
        refuse(
            "not a path prefix",
            "give one like /employment/v1: a leading slash, no trailing one, "
            "letters, digits and . _ ~ - between slashes",
        )
    if len(text) > _LONGEST_PREFIX:
        refuse(f"it is longer than {_LONGEST_PREFIX} characters", "shorten it")
    return text


Whole = Annotated[int, BeforeValidator(_not_boolean)]
"""A whole number; bounds are the field's own. 2.0 and "2" are, for the engine writes
the one as 2 and hands a single number over as text."""
Decimal = Annotated[float, BeforeValidator(_not_boolean)]
"""A number; bounds are the field's own."""
DnsLabel = Annotated[str, AfterValidator(_dns_label)]
"""A name of an object (RFC 1035 label)."""
DnsSubdomain = Annotated[str, AfterValidator(dns_subdomain)]
"""A name of an object whose kind allows dots, such as a StorageClass (RFC 1123).
https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names"""
Namespace = Annotated[str, AfterValidator(_namespace)]
"""A name of a namespace (RFC 1123 label): a digit may come first."""
ModelName = Annotated[str, AfterValidator(_model_name)]
"""A model's name: short enough for the names made from it."""
PathPrefix = Annotated[str, AfterValidator(path_prefix)]
"""The path below which a model answers; no trailing slash."""
RoleArn = Annotated[str, AfterValidator(_role_arn)]
"""The ARN of an IAM role."""
