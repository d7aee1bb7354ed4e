"""Changes made to stack files of a copy, rendered on both sides and compared."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from components.security.rules import FOLDER
from slipway.preview import comparison
from slipway.preview.rendering import Graph
from slipway.preview.report import Report
from slipway.preview.sides import Side
from slipway.rendering.recorder import Resource
from slipway.rendering.render import render
from stacks import files
from tests.support.rendered import IMAGES

Config = dict[str, Any]
Edit = Callable[[Config], None]
RulesEdit = Callable[[Path], None]
"""Changes the folder of rules."""


def nothing(config: Config) -> None:
    """The file as it is in the checkout."""


@dataclass(frozen=True)
class Change:
    """One stack's file before and after; None: there is no such file."""

    stack: str
    head: Edit | None
    base: Edit | None = nothing
    rules: RulesEdit | None = None
    """What head does to the rules; None: neither side has any."""


def same_rules(folder: Path) -> None:
    """Both sides have the rules of the checkout."""


def put(*path: str, value: Any) -> Edit:
    """Sets `slipway:<path>`; None removes it."""

    def edit(config: Config) -> None:
        place = config
        keys = [f"slipway:{path[0]}", *path[1:]]
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        if value is None:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value

    return edit


def both(*edits: Edit) -> Edit:
    """All of them, one after the other."""

    def edit(config: Config) -> None:
        for one in edits:
            one(config)

    return edit


@functools.cache
def _rendered(stack: str, config: str) -> tuple[Resource, ...]:
    return render(stack, config=json.loads(config), images=IMAGES).resources


def checkout(
    folder: Path, stack: str, edit: Edit | None, *, anew: bool = False
) -> Graph:
    """A checkout with this one stack, if any; its graph.

    `anew`: rendered again, though the same was rendered before.
    """
    (folder / files.CONFIG_FOLDER).mkdir(parents=True)
    shutil.copy(files.ROOT / files.PROJECT_FILE, folder)
    if edit is None:
        return {}
    config = files.load(stack)["config"]
    edit(config)
    files.path(stack, folder).write_text(yaml.safe_dump({"config": config}))
    make = _rendered.__wrapped__ if anew else _rendered
    return {stack: make(stack, json.dumps(config))}


def report(change: Change, folder: Path, *, anew: bool = False) -> Report:
    """The report on the change, with both sides in `folder`.

    `anew`: both sides are rendered, even if they are the same.
    """
    base, head = (Side(name, folder / name) for name in ("base", "head"))
    graphs = (
        checkout(base.folder, change.stack, change.base, anew=anew),
        checkout(head.folder, change.stack, change.head, anew=anew),
    )
    if change.rules is not None:
        for side in (base, head):
            shutil.copytree(files.ROOT / FOLDER, side.folder / FOLDER)
        change.rules(head.folder / FOLDER)
    found = comparison.of_graphs(base, head, [change.stack], graphs)
    return replace(found, judge="base")
