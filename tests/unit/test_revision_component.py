"""A revision is a component of its own: in state, in previews, and in older state."""

from __future__ import annotations

from typing import Any

import pytest

from components.serving.revision import Revision
from slipway.rendering import recorder
from tests.support import rendered as r

OF_REVISION = {
    "Deployment",
    "Service",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
}


def test_its_docstring_lists_what_it_creates() -> None:
    for kind in OF_REVISION:
        assert f"- {kind}" in (Revision.__doc__ or "")


def test_every_child_has_its_component_as_parent_and_the_stacks_provider() -> None:
    one = r.model()
    server, revision = (r.resource(one, kind) for kind in ("ModelServer", "Revision"))
    assert (server.type, server.custom) == ("slipway:serving:ModelServer", False)
    assert revision.parent == server.urn
    provider = r.resource(one, "kubernetes")
    children = [x for x in one.resources if x.parent in (server.urn, revision.urn)]
    children.remove(revision)
    assert len(children) == len(one.manifests)
    for child in children:
        kind = child.type.rpartition(":")[2]
        assert (child.parent == revision.urn) == (kind in OF_REVISION), child.urn
        assert child.provider.startswith(provider.urn), child.urn


def test_a_revision_is_known_by_its_former_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """State that an earlier version wrote has its objects below the server."""
    asked: dict[str, list[str]] = {}
    register = recorder.RecordingMonitor.RegisterResource

    def seen(self: recorder.RecordingMonitor, request: Any) -> Any:
        asked[request.type] = [it.urn for it in request.aliases] + [
            it.spec.parentUrn for it in request.aliases
        ]
        return register(self, request)

    monkeypatch.setattr(recorder.RecordingMonitor, "RegisterResource", seen)
    found = r.model()
    server = r.resource(found, "ModelServer").urn
    former = f"{server.rpartition('::')[0]}$kubernetes:apps/v1:Deployment::employment"
    assert {server, former} & set(asked["kubernetes:apps/v1:Deployment"])
