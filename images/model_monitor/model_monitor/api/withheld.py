"""Results of small groups are withheld: they could identify people.

A group with fewer rows than the minimum is left out. The rows of all groups together
are not secret, so that one such group could be found by subtraction: then the smallest
of the others is left out too, until the omitted groups have enough rows together. Of a
group with too few labelled rows, what needs labels is null. Its rates of true and false
positives are null where too few of them are positive, or too few negative: either one
follows from the other and the accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]
OF_CLASSES = ("positives", "negatives", "true_positive", "false_positive")
OF_LABELS = ("labelled", "accuracy", *OF_CLASSES)


def of(results: Values) -> dict[str, Any]:
    """Return a model's results without those of groups that are too small."""
    revisions = [
        {**revision, "fairness": [_audit(it) for it in revision["fairness"]]}
        for revision in results["revisions"]
    ]
    return {**results, "revisions": revisions}


def _audit(audit: Values) -> dict[str, Any]:
    # Results of an older monitor do not name the minimum: then nothing is shown.
    least = audit.get("min_group") or None
    shown = [] if least is None else _shown(audit["groups"], least, "rows")
    judged = _names(audit["groups"], least, "labelled")
    rated = _names(audit["groups"], least, "positives", "negatives")
    return {
        **audit,
        "groups": [
            {
                **it,
                **({} if it["name"] in rated else dict.fromkeys(OF_CLASSES)),
                **({} if it["name"] in judged else dict.fromkeys(OF_LABELS)),
            }
            for it in shown
        ],
        "groups_withheld": len(audit["groups"]) - len(shown),
    }


def _names(groups: list[Values], least: int | None, *sizes: str) -> set[str]:
    """Return the names of the groups that are large enough by every size."""
    # Results of an older monitor do not have the number of positives.
    if least is None or any(it.get(size) is None for it in groups for size in sizes):
        return set()
    by_size = [{it["name"] for it in _shown(groups, least, size)} for size in sizes]
    return set.intersection(*by_size)


def _shown(groups: list[Values], least: int, size: str) -> list[Values]:
    """Return groups that are large enough, in the given order."""
    by_size = sorted(groups, key=lambda it: it[size])
    small = [it for it in by_size if 0 < it[size] < least]
    rows = sum(it[size] for it in small)
    for group in [it for it in by_size if it[size] >= least]:
        if not 0 < rows < least:
            break
        small.append(group)
        rows += group[size]
    left_out = {it["name"] for it in small}
    return [it for it in groups if it["name"] not in left_out]
