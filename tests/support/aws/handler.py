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


class NotFoundError(Exception):
    """The account has no such thing."""


@dataclass
class Made:
    """A resource that exists: its id, and what is known only after it was made."""

    id: str
    outputs: Properties = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What an update starts from and is to end at, tags with the default tags."""

    old: Properties
    """The inputs of before."""
    new: Properties
    state: Properties
    """The outputs of before."""

    def of(self, *names: str) -> bool:
        """Whether one of these inputs changed."""
        return any(self.old.get(name) != self.new.get(name) for name in names)


class Handler(ABC):
    """One type of resource. A change of inputs outside `updates` makes a new one.

    What makes a new one follows Pulumi's AWS provider, not only the API: it replaces a
    lifecycle policy of ECR, which PutLifecyclePolicy could change.
    """

    type: ClassVar[str]
    """As Pulumi's AWS provider calls it, such as `aws:ec2/vpc:Vpc`."""
    required: ClassVar[frozenset[str]] = frozenset()
    optional: ClassVar[frozenset[str]] = frozenset()
    updates: ClassVar[frozenset[str]] = frozenset()
    """Inputs that can be changed without making the resource anew."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Paths below these inputs, such as `launchTemplate.id`, that make it anew."""
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
    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        """What the account has of it; raises NotFoundError or boto3's own error."""

    def live(self, found: Any, inputs: Properties) -> Properties:
        """Inputs as the account has them, from what `read` found.

        A handler without its own sees no drift but a deletion.
        """
        return inputs

    @abstractmethod
    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        """Removes it."""

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        """Changes it; returns the outputs that the change has changed."""
        raise NotImplementedError(f"{self.type}: no update, yet {self.updates}")


class SettingHandler(Handler):
    """A setting of another resource: making and changing it are the same call."""

    taggable = False

    @abstractmethod
    def put(self, aws: Account, new: Properties) -> str:
        """Sets it, as a whole; returns its id."""

    def create(self, aws: Account, new: Properties) -> Made:
        return Made(self.put(aws, new))

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        self.put(aws, change.new)
        return {}
