"""The commands beside `serve`: each returns its exit status and prints what it did."""

from __future__ import annotations

import json
import sys

from model_monitor import config
from model_monitor.audit import Anchor, verify
from model_monitor.column_mapping import ColumnMapping
from model_monitor.config import Config, Model
from model_monitor.counts.reference import UnreadableReferenceError, read_reference
from model_monitor.cycle import Cycle
from model_monitor.figures import results, table
from model_monitor.store import Store

WRONG = 2
"""Exit status of wrong settings or arguments; 1: failed, or found broken."""


def complain(*problems: str) -> None:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)


def cycle(settings: Config, store: Store) -> int:
    """Do one pass and print what it did."""
    passed = Cycle(settings, store).run().passed
    print(passed.text)
    complain(*passed.problems)
    return 1 if passed.problems else 0


def figures(settings: Config, name: str, *, as_json: bool) -> int:
    """Print the last results of a model; they are not computed anew."""
    if settings.model(name) is None:
        known = ", ".join(it.name for it in settings.models) or "none"
        complain(f"{name}: no such model in the configuration; known: {known}")
        return WRONG
    path = Store(settings.store).results / f"{name}.json"
    found = results.read(path)
    if found is None:
        complain(f"{path}: no results that can be read; run `cycle` or `serve` first")
        return 1
    print(json.dumps(found, indent=1) if as_json else table.table(found))
    return 0


def mapping_of(
    given: dict[str, str | None],
    model: Model,
    columns: set[str],
) -> ColumnMapping:
    """Return the mapping of the options; what is not given follows from the model.

    `columns` are those of the file of predictions. Features are those of the model's
    reference that the file has, protected attributes those of the configuration.
    """
    known = {key: value for key, value in given.items() if value is not None}
    features = known.pop("features", None)
    protected = known.pop("protected", None)
    audited = (
        _list(protected)
        if protected is not None
        else tuple(it for it in model.fairness.attributes if it in columns)
    )
    if features is not None:
        chosen = _list(features)
    else:
        chosen = tuple(it for it in _reference_features(model) if it in columns)
        # Protected columns are not logged among the features without a setting.
        chosen = tuple(it for it in chosen if it not in audited)
    return ColumnMapping(features=chosen, protected=audited, **known)


def _reference_features(model: Model) -> list[str]:
    if model.reference is None:
        return []
    try:
        return [it.name for it in read_reference(model.reference).features]
    except UnreadableReferenceError as error:
        raise config.ConfigError([str(error)]) from None


def _list(text: str) -> tuple[str, ...]:
    return tuple(it.strip() for it in text.split(",") if it.strip())


def verify_chain(settings: Config, anchor: Anchor | None) -> int:
    """Verify the audit chain and print its newest entry, the anchor of a later time."""
    path = Store(settings.store).chain
    if not path.exists():
        complain(f"{path}: there is no audit chain; a running monitor begins one")
        return 1
    found = verify(path, anchor)
    if found.broken is not None:
        broken = found.broken
        complain(f"{path}:{broken.line}: {broken.what}: {broken.reason}")
        return 1
    head = f"{found.head.sequence}:{found.head.hash}" if found.head else "none"
    print(f"{path}: {found.entries} entries, intact; newest {head}")
    return 0
