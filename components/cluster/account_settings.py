"""The AWS account and region of a cluster, and its tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from components import catalog
from components.setting_problems import nearest
from components.settings import Problem, Settings, refuse

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[1-9]")
_TAG_TEXT = re.compile(r"[\w\s.:/=+\-@]*")
"""Letters, digits, spaces and these; what every service takes.
https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html"""
LONGEST_TAG_KEY = 128
LONGEST_TAG_VALUE = 256
OWN_PREFIXES = ("aws:", "slipway.dev/", "kubernetes.io/", "karpenter.sh/", "eks:")
"""Tags that AWS, the components or controllers set and look for themselves."""
MOST_TAGS = 30
"""A resource holds 50; the rest is left to the components and to controllers."""


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        refuse(
            "not an AWS account ID",
            "give the 12 digits in quotes (without them a leading zero is lost); `aws "
            "sts get-caller-identity` shows them",
        )
    return value


def _region(value: str) -> str:
    known = catalog.regions()
    if value not in known:
        meant = nearest(value, known)
        hint = f"did you mean {meant}? " if meant else ""
        shaped = _REGION.fullmatch(value)
        refuse(
            "the catalogue does not list this region"
            if shaped
            else "not an AWS region",
            f"{hint}known: {', '.join(known)}",
        )
    return value


def _tag_key(value: str) -> str:
    if not value or len(value) > LONGEST_TAG_KEY or not _TAG_TEXT.fullmatch(value):
        refuse(
            "not a valid AWS tag key",
            f"give 1 to {LONGEST_TAG_KEY} letters, digits, spaces and . : / = + - @ _",
        )
    if value.lower().startswith(OWN_PREFIXES) or value == "Name":
        refuse(
            "AWS, the components or controllers set this tag themselves",
            "give a key other than Name that begins with none of "
            f"{', '.join(OWN_PREFIXES)}",
        )
    return value


def _tag_value(value: str) -> str:
    if len(value) > LONGEST_TAG_VALUE or not _TAG_TEXT.fullmatch(value):
        refuse(
            "not a valid AWS tag value",
            f"give at most {LONGEST_TAG_VALUE} letters, digits, spaces and "
            ". : / = + - @ _",
        )
    return value


TagKey = Annotated[str, AfterValidator(_tag_key)]
TagValue = Annotated[str, AfterValidator(_tag_value)]


AccountId = Annotated[str, AfterValidator(_account)]
"""12 digits."""


class AccountSettings(Settings):
    """The account, the region, and whether production depends on it."""

    id: AccountId
    """The account's 12 digits, in quotes; the provider rejects credentials of any other
    account before it creates anything."""
    region: Annotated[str, AfterValidator(_region)]
    """The region of all resources, for example eu-central-1."""
    production: bool = False
    """True holds the stack to the rules of production: several zones, a NAT in each,
    deletion protection, protected storage, a system pool of several nodes."""
    tags: dict[TagKey, TagValue] = Field(default={}, validate_default=True)
    """Tags of every resource, in addition to those that the components set."""

    def contradictions(self) -> Iterator[Problem]:
        if len(self.tags) > MOST_TAGS:
            yield Problem(
                path="tags",
                value=sorted(self.tags),
                reason=f"{len(self.tags)} tags leave too few of the 50 tags of a "
                "resource to the components and controllers",
                fix=f"give at most {MOST_TAGS}",
            )
