"""What makes, changes and removes the resources of one type, by boto3."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.support.aws.account import Account

Properties = dict[str, Any]
"""Inputs or outputs by the names that Pulumi's AWS provider knows (camelCase)."""

TAGS = "tags"


class RefusedError(Exception):
    """AWS would refuse this; the text names the documented rule."""


@dataclass
class Made:
    """A resource that exists: its id, and what is known only after it was made."""

    id: str
    outputs: Properties = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What an update starts from and is to end at, tags with the default tags."""

    old: Properties
    """The outputs of before, which hold the inputs of before."""
    new: Properties

    def of(self, *names: str) -> bool:
        """Whether one of these inputs changed."""
        return any(self.old.get(name) != self.new.get(name) for name in names)


class Handler(ABC):
    """One type of resource. A change of inputs outside `updates` makes a new one."""

    type: ClassVar[str]
    """As Pulumi's AWS provider calls it, such as `aws:ec2/vpc:Vpc`."""
    required: ClassVar[frozenset[str]] = frozenset()
    optional: ClassVar[frozenset[str]] = frozenset()
    updates: ClassVar[frozenset[str]] = frozenset()
    """Inputs that can be changed without making the resource anew."""
    taggable: ClassVar[bool] = True

    @classmethod
    def known(cls) -> frozenset[str]:
        """Every input that the handler passes on."""
        tags = {TAGS} if cls.taggable else set()
        return cls.required | cls.optional | tags

    @abstractmethod
    def create(self, aws: Account, new: Properties) -> Made:
        """Makes it; raises what boto3 raises, or RefusedError."""

    @abstractmethod
    def exists(self, aws: Account, identifier: str, old: Properties) -> bool:
        """Whether the account still has it."""

    @abstractmethod
    def delete(self, aws: Account, identifier: str, old: Properties) -> None:
        """Removes it."""

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        """Changes it; returns the outputs that the change has changed."""
        raise NotImplementedError(f"{self.type}: no update, yet {self.updates}")
