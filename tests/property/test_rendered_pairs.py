"""Two sides rendered together are what each is by itself, whatever the edit.

Every example is a stack before and after several edits: of one model's settings, of
what all models share, of models that come, go or change places, and of wrong settings.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slipway import stack_files
from slipway.rendering import pair
from slipway.rendering.render import Rendered, images_in_place, render
from tests.support.rendered import IMAGES

Config = dict[str, Any]
Edit = Callable[[Config], None]
FEW = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
STACK = "models.test"
NAMES = [f"m{number}" for number in range(5)]


def config() -> Config:
    """Versions of one API, so that each names all others, keys, waker and monitor."""
    kinds: list[Config] = [
        {"access": {"api_keys": {"secret": "callers"}}},
        {"scaling": {"idle": {"wake_seconds": 8}}},
        {"monitor": {}, "prediction_log": {"sink": "monitor"}},
        {},
        {"scaling": {"min_replicas": 2, "max_replicas": 4}},
    ]
    found = {}
    for version, (name, kind) in enumerate(zip(NAMES, kinds, strict=True)):
        own = {"model": "employment", "model_image": "employment"}
        found[name] = own | {"route": {"prefix": f"/m/v{version}"}} | kind
    keys = {"callers": {"alice": {"secure": "AAAB"}}}
    return {"models": found, "client_keys": keys, "platform": {"keda": {}}}


def _put(*path: str, value: Any) -> Edit:
    def edit(there: Config) -> None:
        for key in path[:-1]:
            there = there.setdefault(key, {})
        there[path[-1]] = value

    return edit


def _remove(name: str) -> Edit:
    return lambda there: there["models"].pop(name, None)


def _last(name: str) -> Edit:
    """Another order alone: the versions that a 404 names follow it."""

    def edit(there: Config) -> None:
        if name in there["models"]:
            there["models"][name] = there["models"].pop(name)

    return edit


def _add(name: str) -> Edit:
    model = {"model_image": "employment", "route": {"prefix": f"/m/v{ord(name[0])}"}}
    return _put("models", name, value=model)


MODEL = st.sampled_from(NAMES)
OF_A_MODEL = st.builds(
    lambda name, edit: _put("models", name, *edit[0], value=edit[1]),
    MODEL,
    st.sampled_from(
        [
            (("scaling", "max_replicas"), 9),
            (("scaling", "max_replicas"), True),
            (("scaling", "idle"), {"wake_seconds": 9}),
            (("route", "prefix"), "/m/v9"),
            (("route", "sunset"), "2020-01-01"),
            (("lifecycle", "drain_seconds"), 40),
            (("environment",), {"LEVEL": "debug"}),
            (("model_image",), "no-such-image"),
            (("access",), {"api_keys": {"secret": "others"}}),
            (("monitor",), {}),
        ]
    ),
)
OF_ALL = st.sampled_from(
    [
        _put("platform", "namespace", value="elsewhere"),
        _put("platform", "keda", value=None),
        _put("client_keys", "callers", "bob", value={"secure": "AAAC"}),
        _put("client_keys", "callers", "alice", value={"secure": "AAAD"}),
        _put("dashboards", "enabled", value=False),
        _put("production", value=True),
        _put("adopt", value=["Service/models/m0"]),
        _put("no_such_setting", value=1),
    ]
)
EDITS = st.lists(
    st.one_of(
        OF_A_MODEL,
        OF_A_MODEL,
        st.builds(_remove, MODEL),
        st.builds(_last, MODEL),
        st.builds(_add, st.sampled_from(["m5", "a0"])),
        OF_ALL,
    ),
    max_size=2,
)


def _values(there: Config) -> dict[str, str]:
    return stack_files.encoded(there, stack_files.name(STACK))


def _alone(values: dict[str, str]) -> Rendered | None:
    try:
        return render(STACK, values)
    except Exception:  # noqa: BLE001 whatever is wrong with the edit
        return None


def _text(rendered: Rendered | None) -> str:
    """All of it; the program's messages come in the order of its runs."""
    if rendered is None:
        return "an error"
    resources = [vars(resource) for resource in rendered.resources]
    said = sorted(rendered.messages)
    return json.dumps([resources, rendered.outputs, said], sort_keys=True)


@FEW
@example([_put("models", "m3", "route", "prefix", value="/m/v9")])
@example([_put("models", "m4", "scaling", "max_replicas", value=9)])
@given(EDITS)
def test_a_pair_is_what_each_side_is_by_itself(edits: list[Edit]) -> None:
    before = config()
    after = copy.deepcopy(before)
    for edit in edits:
        edit(after)
    with images_in_place(IMAGES):
        old, new = _values(before), _values(after)
        one, other = pair.both(STACK, old, new)
        assert _text(one) == _text(_alone(old))
        assert _text(other) == _text(_alone(new))


def test_only_what_differs_is_rendered_twice() -> None:
    before = config()
    after = copy.deepcopy(before)
    after["models"]["m3"]["scaling"] = {"max_replicas": 9}
    with images_in_place(IMAGES):
        one, other = pair.both(STACK, _values(before), _values(after))
    assert other is not None
    known = {id(resource) for resource in one.resources}
    anew = [r for r in other.resources if id(r) not in known]
    assert any(r.name == "m3" for r in anew)
    others = ("/m0", "/m1", "/m2", "/m4", "::m0", "::m1", "::m2", "::m4")
    assert not [r.urn for r in anew if r.urn.endswith(others)]
