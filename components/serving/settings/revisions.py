"""Revisions: the models behind one public path, each in pods of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.images import ImageReference
from components.serving.settings.resource_settings import Resources
from components.serving.settings.scaling_settings import Scaling
from components.setting_types import Whole
from components.settings import ABSENT, Problem, Settings, refuse

Arm = Literal["stable", "canary", "shadow"]
WHOLE = 100
LONGEST_NAME = 13
"""A server's name has 40 characters at most; with this and the dash they make 54, of
which KEDA makes a label (`keda-hpa-<name>`) of 63."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        refuse(
            "not a valid revision name",
            "use a-z, 0-9 and - between them, such as challenger or, in quotes, "
            '"2026-11-23"',
        )
    if len(text) > LONGEST_NAME:
        refuse(
            f"it is longer than {LONGEST_NAME} characters, and the names of Kubernetes "
            "objects and labels are made from it",
            "shorten it",
        )
    return text


RevisionName = Annotated[str, AfterValidator(_name)]
"""A revision's name: callers give it in x-model-revision, and responses have it."""


class Revision(Settings):
    """One revision of the model: immutable, except for its weight.

    What is left out is as the server has it.
    """

    model_image: ImageReference
    """Image that holds the model's folder, mounted read-only."""
    weight: Annotated[Whole | None, Field(ge=0, le=WHOLE)] = None
    """Share of the requests that name no revision, in percent; the weights add up to
    100. Required, except with `rollout`, which sets the weights."""
    image: ImageReference | None = None
    """Image of the server."""
    scaling: Scaling | None = None
    """Replicas and the autoscaler."""
    resources: Resources | None = None
    """CPU and memory of one replica."""
    arm: Arm | None = None
    """Role of the revision in an experiment: a label of metrics and log."""


def wrong_weights(revisions: Mapping[str, Revision]) -> Iterator[Problem]:
    """Report weights that do not add up to 100."""
    for name, revision in revisions.items():
        if revision.weight is None:
            yield Problem(
                f"revisions.{name}.weight",
                ABSENT,
                "it is required",
                "set it: Share of the requests that name no revision, in percent; "
                "or set rollout",
            )
    weights = {name: revision.weight for name, revision in revisions.items()}
    if None in weights.values():
        return
    total = sum(weight or 0 for weight in weights.values())
    if weights and total != WHOLE:
        yield Problem(
            "revisions",
            weights,
            f"their weights add up to {total} percent"
            if total
            else "all revisions have weight 0: none would receive requests",
            f"make the weights add up to {WHOLE}",
        )
