"""The query that `pulumi up` sends to the cluster before the program declares objects.

A program does not know its stack's state, so this distinguishes fewer cases than
`slipway up`: see `refuse_foreign`.
"""

from __future__ import annotations

from typing import Any

import pulumi

from slipway.cluster.kube_api import KubeApiError
from slipway.engine import existing, stack_api
from slipway.rendering.render import render
from stacks import layers


def refuse_foreign(stack: str, config: dict[str, Any], *, preview: bool) -> None:
    """SettingsError with all that others made of what the stack declares.

    `config` is the stack's, by field. An object passes if it has the stack's label, or
    no stack's label and some Pulumi program applied it: the stack's own of an earlier
    version cannot be distinguished from another program's. Nothing is asked where
    another stack makes the cluster, whose outputs the engine alone has; that, and a
    preview that cannot ask, is logged as a warning.
    """
    if layers.split(stack)[0] not in layers.IN_CLUSTER:
        return
    rendered = render(stack, config, look_up=True)
    if rendered.references:
        _warn("another stack makes the cluster: use `slipway up`, which does check")
        return
    try:
        with stack_api.of_stack(stack) as api:
            found = existing.look(api, existing.owned(rendered))
    except KubeApiError as error:
        if preview:
            _warn(str(error))
            return
        text = f"{stack}: existing objects could not be checked: {error}"
        raise pulumi.RunError(text) from None
    foreign = [one for one in found if not existing.applied_by_pulumi(one[1])]
    existing.refuse(stack, foreign, lambda _: None)


def _warn(why: str) -> None:
    pulumi.log.warn(f"existing objects were not checked: {why}")
