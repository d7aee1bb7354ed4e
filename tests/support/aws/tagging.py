"""Tags, in the forms of the different services."""

from __future__ import annotations

from typing import Any

from tests.support.aws.handler import TAGS, Change, Properties


def pairs(tags: dict[str, str], key: str = "Key", value: str = "Value") -> list[Any]:
    """Tags as a list, as most services want them."""
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def ec2_specifications(kind: str, new: Properties) -> list[Any]:
    """Tags that EC2 sets as it makes a resource of that kind."""
    if not new[TAGS]:
        return []
    return [{"ResourceType": kind, "Tags": pairs(new[TAGS])}]


def removed(change: Change) -> list[str]:
    """Keys of tags that are to go."""
    return sorted(change.old[TAGS].keys() - change.new[TAGS].keys())


def set_ec2_tags(ec2: Any, identifier: str, change: Change) -> None:
    """Brings the tags of an EC2 resource to what they are to be, by that client."""
    if gone := removed(change):
        ec2.delete_tags(Resources=[identifier], Tags=[{"Key": key} for key in gone])
    if change.new[TAGS]:
        ec2.create_tags(Resources=[identifier], Tags=pairs(change.new[TAGS]))
