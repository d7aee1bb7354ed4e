"""The runtime savedmodel beside onnx: the same server, with TensorFlow."""

from __future__ import annotations

from typing import Any

from tests.support import rendered as r


def container(**config: Any) -> dict[str, Any]:
    found: dict[str, Any] = r.pod(r.model(**config))["containers"][0]
    return found


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {it["name"]: it.get("value", "") for it in container["env"]}


RESOURCES = {"memory_request_mib": 768, "memory_limit_mib": 1024}
SAVED = {
    "image": "model-server-tensorflow",
    "runtime": {"kind": "savedmodel"},
    "resources": RESOURCES,
}


def test_it_has_the_variables_of_onnx_and_its_own_image() -> None:
    ours, theirs = container(resources=RESOURCES), container(**SAVED)
    assert variables(theirs) == variables(ours)
    assert theirs["image"] == r.IMAGES["model-server-tensorflow"]
    assert "command" not in theirs


def test_callers_fill_what_tensorflow_leaves() -> None:
    """Beside 576 MiB: a body that is read, 32 times, and two shares of the rest."""
    small = {"memory_request_mib": 576, "memory_limit_mib": 628}
    found = variables(container(**SAVED | {"resources": small}))
    assert found["MODEL_SERVER_MAX_BUFFERED_BYTES"] == str(10 * 2**20)


def test_grpc_may_be_opened() -> None:
    found = container(**SAVED | {"runtime": {"kind": "savedmodel", "grpc": True}})
    assert variables(found)["MODEL_SERVER_GRPC_PORT"] == "9000"
