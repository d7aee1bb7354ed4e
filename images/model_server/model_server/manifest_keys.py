"""The keys of a model.yaml: an unknown one is a mistake, perhaps a check turned off."""

from __future__ import annotations

import difflib
from collections.abc import Collection

SERVED = {
    "name",
    "version",
    "revision",
    "inputs",
    "outputs",
    "features",
    "log",
    "prediction",
    "digests",
    "rows",
    "warm_up",
    "format",
    "signature",
}
"""What the server reads."""
DESCRIBING = {
    "description",
    "feature_details",
    "classes",
    "libraries",
    "trained_on",
    "derived_from",
    "metrics",
    "licence",
    "about",
}
"""What is for people and auditors; `about` may hold anything."""
PREDICTION = {"decision", "score"}
LOG = {"keep", "bucket", "hash", "protected"}
TENSOR = {"name", "datatype", "shape", "missing_values", "max_shape"}


def unknown(path: str, given: Collection[object], known: Collection[str]) -> list[str]:
    """A problem for each key that is not known, with the one that may be meant."""
    found = []
    for key in given:
        if key not in known:
            meant = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {meant[0]}? " if meant else ""
            found.append(f"{path}{key}: unknown key; {hint}{_advice(path, known)}")
    return found


def _advice(path: str, known: Collection[str]) -> str:
    if path:
        return f"known: {', '.join(sorted(known))}"
    return "put notes of your own below about"
