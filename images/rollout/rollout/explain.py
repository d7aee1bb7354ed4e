"""Computes a verdict again from its ledger entry, and shows what it rests on.

    python3 -m rollout.explain FILE

FILE holds the entry's JSON, or the ConfigMap that has it (`kubectl get -o json`). Ends
with 1 if the entry says something else than its facts give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rollout import record
from rollout.gate import Judgement, points
from rollout.objects import ENTRY_KEY
from rollout.record import Entry
from rollout.verdict import Outcome


def read(path: Path) -> Entry:
    """The entry of a file; ValueError or KeyError if there is none."""
    found: dict[str, Any] = json.loads(path.read_text())
    if found.get("kind") == "ConfigMap":
        entry: Entry = json.loads(found["data"][ENTRY_KEY])
        return entry
    return found


def lines(entry: Entry, outcome: Outcome, differences: Sequence[str]) -> Iterator[str]:
    weights, settings = entry["weights"], entry["settings"]
    yield (
        f"{entry['id']}: {entry['verdict']}, {settings['canary']} from "
        f"{weights['before']} % to {weights['after']} %"
    )
    if mirrors := entry.get("mirrors"):
        yield f"copies from {mirrors['before']} % to {mirrors['after']} %"
    yield f"reason: {entry['reason']}"
    for one in outcome.judgements:
        yield _line(one)
    if differences:
        yield "the entry is not what its facts give:"
        yield from (f"  {one}" for one in differences)
    else:
        yield f"computed again from the entry alone; digest {record.digest(entry)}"


def _line(it: Judgement) -> str:
    canary, stable = (
        f"{bad} of {total}" for bad, total in zip(it.bad, it.requests, strict=True)
    )
    return (
        f"{it.gate}: {it.call}; canary {canary}, stable {stable} bad in {it.intervals} "
        f"intervals; worse by {points(it.estimate)}, proven above {points(it.lower)}, "
        f"surely below {points(it.upper)}; evidence {it.evidence:.3g}"
    )


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("give one file: python3 -m rollout.explain FILE", file=sys.stderr)
        return 2
    try:
        entry = read(Path(arguments[0]))
        outcome, differences = record.recompute(entry)
    except (OSError, KeyError, TypeError, ValueError) as error:
        print(f"{arguments[0]}: is not a ledger entry ({error!r})", file=sys.stderr)
        return 2
    for line in lines(entry, outcome, differences):
        print(line)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
