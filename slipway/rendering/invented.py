"""What a rendering makes up, as only AWS gives it: shown as such where people read it.

The monitor answers with ids, ARNs and addresses by the resources' own names, so that
what refers to them is there. A reader must not take them for those of an account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from slipway.rendering import recorder
from slipway.rendering.recorder import Resource

MARK = "(known after apply: {})"


def texts(resources: Iterable[Resource]) -> frozenset[str]:
    """All that was made up for these."""
    return frozenset(text for one in resources for text in _of(one))


def _of(resource: Resource) -> Iterator[str]:
    if resource.type.startswith(recorder.KUBERNETES):
        return
    yield f"{resource.name}-id"
    if resource.type.startswith(recorder.AWS) and "arn" not in resource.inputs:
        yield recorder.made_up_arn(resource.type, resource.name)
    if resource.type == recorder.EKS_CLUSTER:
        yield f"https://{resource.name}.invalid"
        yield f"{resource.name}-security-group-id"


def marked(value: Any, made_up: frozenset[str]) -> Any:
    """The value with each of these in words that nobody takes for a value."""
    if not made_up:
        return value
    longest_first = sorted(made_up, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest_first))
    return _marked(value, re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])"))


def _marked(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {key: _marked(item, pattern) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item, pattern) for item in value]
    if isinstance(value, str):
        return pattern.sub(lambda found: MARK.format(found[0]), value)
    return value
