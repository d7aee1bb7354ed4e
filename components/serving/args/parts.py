"""The parts of a model server: one Deployment, or one for each revision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from components import images, naming
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.settings.revisions import WHOLE

PROGRAM = naming.MODEL_SERVER


@dataclass(frozen=True)
class Part:
    """One Deployment, with its Service, autoscaler and disruption budget."""

    server: str
    revision: str
    """Name of the revision; empty if the server has no revisions by name."""
    weight: int
    """Share of the requests that name no revision, in percent."""
    args: ModelServerArgs
    """Settings of the server as they are for this part."""

    @property
    def name(self) -> str:
        """Name of its objects."""
        return f"{self.server}-{self.revision}" if self.revision else self.server

    @property
    def version(self) -> str:
        """First digits of the model's digest."""
        if self.args.model_image:
            return images.short_digest(self.args.model_image)
        # Weights that are streamed: a path whose content never changes.
        return hashlib.sha256(self.args.runtime.weights.encode()).hexdigest()[:12]

    @property
    def own_labels(self) -> dict[str, str]:
        """Labels of its objects, in addition to the server's."""
        return {naming.REVISION_LABEL: self.revision} if self.revision else {}

    def labels(self, component: str) -> dict[str, str]:
        """Of its object with this role."""
        common = naming.labels(
            PROGRAM, instance=self.server, component=component, version=self.version
        )
        return {**common, **self.own_labels}

    @property
    def selector(self) -> dict[str, str]:
        """Return the labels that select its pods and no others."""
        common = naming.selector(PROGRAM, instance=self.server)
        return {**common, **self.own_labels}


def parts(server: str, args: ModelServerArgs) -> tuple[Part, ...]:
    """The parts by name: the engine gives a mapping's keys in that order too."""
    if not args.revisions:
        return (Part(server, "", WHOLE, args),)
    return tuple(
        Part(server, name, args.weight_of(name), args.of(name))
        for name in sorted(args.revisions)
    )


def clashes(models: dict[str, ModelServerArgs]) -> dict[tuple[str, str], str]:
    """Report parts whose objects would have the names of another server's."""
    owners: dict[str, str] = {}
    found = {}
    for server, args in sorted(
        models.items(), key=lambda item: bool(item[1].revisions)
    ):
        for part in parts(server, args):
            if part.name in owners:
                found[server, part.revision] = owners[part.name]
            owners.setdefault(part.name, server)
    return found
