"""Models that may sleep on a cluster, by Compose: awake, and no false alarm."""

from __future__ import annotations

from components import naming
from slipway.compose import stack
from slipway.compose.objects import Objects
from tests.support import composed
from tests.support import rendered as r

IDLE = {"scaling": {"idle": {"wake_seconds": 8}}}


def test_they_do_not_sleep_and_nobody_misses_the_waker() -> None:
    server = {**r.EMPLOYMENT, **IDLE, "route": {"prefix": "/employment/v1"}}
    made = Objects.of(r.models(models={"employment": server}).manifests)
    with composed.locked(r.IMAGES):
        found = stack.translated("models.mine", made, composed.objects("platform.lab"))
    assert "employment" in found.services
    assert not [name for name in found.services if name.startswith(naming.WAKER)]
    rules = found.files["rules/models.employment.yaml"]
    assert "ModelDoesNotWake" not in rules
    assert "ModelWithoutReadyReplica" in rules
    assert "ModelErrorRatioHigh" in rules
    assert [line for line in found.limits if "not scaled to zero" in line]
