"""The page with ten reports of `slipway compare` on this repository's own history.

    python -m docs.change_reports [--work DIR] [COMMIT or BASE..HEAD ...]

Each commit is compared with its parent, on the stacks of ENVIRONMENTS: the others would
say the same again. Without COMMIT these are all that changed a folder in CHANGING, back
to OLDEST, all of them together, and each half. The ten that are picked show the most
different things: see `picked`. What is in DIR already is not compared again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.preview import comparison, markdown
from slipway.preview.report import Report
from slipway.preview.sides import side
from toolchain import paths

PAGE = Path("docs/how-to/change-reports.md")
OLDEST = "e656e19"
"""Checkouts before it have their renderer elsewhere: they cannot be compared."""
CHANGING = ("components", "stacks", "policies")
ENVIRONMENTS = ("lab", "prod")
COUNT = 10
CHARACTERS = 3000
"""Of each report on the page."""
HEAD = """\
# Ten changes of this repository, as a reviewer sees them

Written by `python -m docs.change_reports`. Each report is what
`slipway compare BASE HEAD --environment lab --environment prod` prints about commits of
this repository ([how to read it](preview-report.md)), cut where it is long. The command
picks the changes that together show the most different things. Commits before {oldest}
cannot be compared, since their renderer was elsewhere.
"""


@dataclass(frozen=True)
class Compared:
    """One change and the report on it."""

    change: str
    """A commit, or BASE..HEAD."""
    text: str
    """The report as Markdown."""
    shows: frozenset[str]
    """What happens in it: sections of the report, and actions by type."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="keeps the reports, to go on later")
    parser.add_argument("changes", nargs="*", metavar="COMMIT|BASE..HEAD")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        found = [compared(one, work) for one in given.changes or candidates()]
    (paths.ROOT / PAGE).write_text(page(picked(found)))


def git(*words: str) -> str:
    """What git prints; CalledProcessError if it fails."""
    done = subprocess.run(
        ["git", *words], cwd=paths.ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def candidates() -> list[str]:
    """Commits that changed what is rendered, all together, and in two halves."""
    head = git("rev-parse", "--short", "HEAD")
    span = f"{OLDEST}..{head}"
    commits = git("log", "--no-merges", "--format=%h", span, "--", *CHANGING).split()
    half = commits[len(commits) // 2]
    return [*commits, span, f"{OLDEST}..{half}", f"{half}..{head}"]


def sides_of(change: str) -> tuple[str, str]:
    """The two revisions that are compared."""
    base, _, head = change.rpartition("..")
    return base or f"{head}^", head


def compared(change: str, work: Path) -> Compared:
    """The report on a change, kept in `work`."""
    kept = work / f"{change}.json"
    if not kept.exists():
        found = report(change)
        text = markdown.text(found, CHARACTERS)
        kept.write_text(json.dumps([text, sorted(shows(found))]))
        print(f"{change}: {found.verdict}")
    text, shown = json.loads(kept.read_text())
    return Compared(change, text, frozenset(shown))


def report(change: str) -> Report:
    """What `slipway compare` finds on the stacks of both environments."""
    base, head = sides_of(change)
    with tempfile.TemporaryDirectory(prefix="slipway-reports-") as folder:
        work = Path(folder)
        sides = side(base, work / "base"), side(head, work / "head")
        names = comparison.chosen(*sides, (), ENVIRONMENTS)
        return comparison.compare(*sides, names, (None, None), work / "rendered")


def shows(found: Report) -> set[str]:
    """What a reader can see happen in the report."""
    sections: Mapping[str, object] = {
        "pods restarted": found.restarts,
        "traffic moved": found.traffic,
        "cost": found.bills,
        "encrypted values": found.secrets,
        "rules broken": found.rules_of("new"),
        "rules kept": found.rules_of("gone"),
        "rules changed": found.rule_changes,
        "protection removed": [i for i in found.items if i.protection == "removed"],
        "labels only": [i for i in found.items if i.labels_only],
        "nothing": not found.changed,
    }
    actions = {f"{item.action} {item.type}" for item in found.items}
    return actions | {name for name, there in sections.items() if there}


def picked(found: Iterable[Compared], count: int = COUNT) -> list[Compared]:
    """Those that together show the most, one after the other.

    Each next one adds the most to those before it; of equal ones, the shortest report.
    Reports in which nothing changes count once.
    """
    left, chosen = list(found), list[Compared]()
    shown: set[str] = set()
    while left and len(chosen) < count:
        best = max(left, key=lambda one: (len(one.shows - shown), -len(one.text)))
        left.remove(best)
        if best.shows != {"nothing"} or "nothing" not in shown:
            chosen.append(best)
        shown |= best.shows
    return chosen


def page(found: Iterable[Compared]) -> str:
    """The page as Markdown."""
    return "\n".join([HEAD.format(oldest=OLDEST), *map(_section, found)])


def _section(one: Compared) -> str:
    base, head = sides_of(one.change)
    title = git("log", "-1", "--format=%s", head)
    if ".." in one.change:
        count = git("rev-list", "--count", "--no-merges", one.change)
        title = f"{count} commits together"
    command = f"`slipway compare {base} {head}`"
    return "\n".join([f"## {title}", "", command, "", *_quoted(one.text), ""])


def _quoted(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"> {line}".rstrip()


if __name__ == "__main__":
    main()
