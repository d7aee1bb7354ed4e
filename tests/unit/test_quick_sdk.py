"""The SDK made quick asks the engine for the same as the SDK as it is."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi.runtime import rpc
from pulumi_kubernetes.apiextensions import CustomResource

from slipway.rendering import quick_sdk
from slipway.rendering.render import Rendered, render
from tests.support.rendered import IMAGES

Program = Callable[[], None]
STACKS = ("models.gpu", "platform.mine", "cluster.dev", "jobs.gpu")


class Group(pulumi.ComponentResource):
    """A component with children."""

    def __init__(self, name: str) -> None:
        super().__init__("test:index:Group", name)
        self.first = k8s.core.v1.ConfigMap(
            f"{name}-first",
            metadata={"name": f"{name}-first"},
            data={"camel_case_stays": "1"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"made": self.first.metadata})


def everything() -> None:
    """Each form of input that a program may give."""
    group = Group("group")
    labels = {"some_key": "typed", "other": pulumi.Output.from_input("later")}
    spec = k8s.core.v1.PodSpecArgs(
        restart_policy="Never",
        node_selector={"a_b": "c"},
        containers=[
            k8s.core.v1.ContainerArgs(
                name="one",
                image=pulumi.Output.concat("host/", "one"),
                env=[{"name": "A", "value_from": {"field_ref": {"field_path": "x"}}}],
                resources={"limits": {"nvidia.com/gpu": 1}},
            ),
            {"name": "two", "image_pull_policy": "Always", "tty": False},
        ],
    )
    pod = k8s.core.v1.Pod(
        "pod", metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels), spec=spec
    )
    k8s.core.v1.Secret(
        "secret",
        metadata={"name": pod.metadata.apply(lambda it: (it.name or "none") + "-key")},
        string_data={"key": pulumi.Output.secret("hidden")},
        opts=pulumi.ResourceOptions(depends_on=[group], protect=True),
    )
    CustomResource(
        "custom",
        api_version="example.org/v1",
        kind="Example",
        spec={"a_b": [1, 2.5, None, {"of": pod.id}], "first": group.first.metadata},
        opts=pulumi.ResourceOptions(
            aliases=[pulumi.Alias(name="older")], ignore_changes=["spec.a_b"]
        ),
    )
    pulumi.export("all", pulumi.Output.all(pod.id, group.urn, group.first.data))
    pulumi.export("nothing", pod.status)


def both(
    made: Callable[[], Rendered], monkeypatch: pytest.MonkeyPatch
) -> tuple[Rendered, Rendered]:
    """What a program makes with the SDK as it is, and with the quick one."""
    with monkeypatch.context() as patch:
        patch.setattr(quick_sdk, "here", lambda: None)
        slow = made()
    return slow, made()


def of(program: Program) -> Callable[[], Rendered]:
    return functools.partial(render, "models.test", config={}, program=program)


def test_every_form_of_input_is_asked_for_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow, quick = both(of(everything), monkeypatch)
    assert quick.resources == slow.resources
    assert quick.outputs == slow.outputs
    assert any(one.has_secrets for one in quick.resources)
    (custom,) = (r for r in quick.resources if r.name == "custom")
    assert custom.inputs["spec"]["a_b"][3] == {"of": "pod"}
    needed = {urn.rpartition("::")[2] for urn in custom.depends_on}
    assert needed == {"group-first", "pod"}


@pytest.mark.parametrize("stack", STACKS)
def test_stacks_are_asked_for_alike(
    stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = both(lambda: render(stack, images=IMAGES), monkeypatch)
    assert [r.digest for r in quick.resources] == [r.digest for r in slow.resources]
    assert quick.resources == slow.resources
    assert quick.outputs == slow.outputs


def no_value() -> None:
    CustomResource("custom", api_version="v1", kind="Any", spec={"it": object()})


def failing_apply() -> None:
    pod = k8s.core.v1.Pod("pod", metadata={"name": "pod"})
    pod.metadata.apply(lambda it: it.no_such_attribute)


def failing_at_once() -> None:
    pulumi.Output.from_input(1).apply(lambda it: it / 0)


def needs_a_failing_one() -> None:
    first = CustomResource("a", api_version="v1", kind="Any", spec={"it": object()})
    k8s.core.v1.ConfigMap("b", data={"of": first.id}, metadata=first.metadata)


@pytest.mark.parametrize(
    "program", [no_value, failing_apply, failing_at_once, needs_a_failing_one]
)
def test_errors_are_raised_alike(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for quick in (True, False):
        with monkeypatch.context() as patch:
            if not quick:
                patch.setattr(quick_sdk, "here", lambda: None)
            with pytest.raises(Exception) as error:  # noqa: PT011 compared below
                of(program)()
        found.append((error.type, str(error.value).partition(" object at ")[0]))
    assert found[0] == found[1]


def test_an_answer_that_nobody_reads_is_not_translated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A third of the SDK's work; another program's answers all are."""
    translated = []
    before = rpc.translate_output_properties

    def noted(output: Any, *rest: Any, **more: Any) -> Any:
        translated.append(output)
        return before(output, *rest, **more)

    def program() -> None:
        k8s.core.v1.ConfigMap("unread", data={"a": "b"})
        read = k8s.core.v1.ConfigMap("read", data={"c": "d"})
        pulumi.export("read", read.data)

    monkeypatch.setattr(rpc, "translate_output_properties", noted)
    of(program)()
    assert {"c": "d"} in translated
    assert {"a": "b"} not in translated


def test_a_type_is_examined_once_and_known_by_identity() -> None:
    """Two unions are equal whatever the order of their members."""
    asked: list[Any] = []

    def examine(typ: Any) -> Any:
        asked.append(typ)
        return typ

    kept = quick_sdk._kept(examine)
    one, other = int | str, str | int
    assert one == other
    for typ in (one, other, one):
        assert kept(typ) is typ
    assert len(asked) == 2


def test_those_who_wait_are_woken_by_the_answer() -> None:
    async def run() -> list[Any]:
        later = quick_sdk._Later(object())  # type: ignore[arg-type]
        quick_sdk.here()

        async def wait() -> Any:
            return (await later).value

        waiting = [asyncio.ensure_future(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        later(7, True, False, None, None)
        return await asyncio.gather(*waiting)

    assert asyncio.run(run()) == [7, 7, 7]
