"""Variables of a container that two settings give: one would be overridden."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from typing import Protocol

from components.setting_secrets import NOT_SHOWN
from components.settings import Problem


class _Use(Protocol):
    """A container's use of a Secret."""

    @property
    def variables(self) -> Mapping[str, str]: ...


def problems(
    environment: Mapping[str, str],
    secrets: Mapping[str, _Use],
    own: Container[str],
    *,
    whose: str,
) -> Iterator[Problem]:
    """Variables set twice, and those that settings of their own set.

    `own`: the latter; `whose`: what they belong to, such as "the job (torch)".
    """
    places: dict[str, list[str]] = defaultdict(list)
    for name in sorted(environment):
        places[name].append(f"environment.{name}")
    for secret, use in sorted(secrets.items()):
        for name in sorted(use.variables):
            places[name].append(f"secrets.{secret}.variables.{name}")
    for name, found in sorted(places.items()):
        is_own = name in own
        for path in found if is_own else found[1:]:
            yield Problem(
                path,
                NOT_SHOWN,
                f"the settings of {whose} already set this variable, and one of the "
                "two would be overridden"
                if is_own
                else f"{found[0]} sets the same variable",
                "remove it, and use the setting (docs/reference/settings.md)"
                if is_own
                else "rename one of them",
            )
