"""The reference page of the rules, from policies/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.security import rules
from components.security.rules import Rule
from components.yaml_text import read
from toolchain import paths

PAGE = Path("docs/reference/rules.md")
FOLDER = paths.ROOT / rules.FOLDER
HEAD = """\
# Rules

Generated from `policies/` by `make docs`; a test compares. How to use them:
[rules](../how-to/rules.md). **check** is `slipway check` and the policy pack of
`pulumi up`. **cluster** is the API server where `admission.enabled` is set: there,
errors are refused in production. Rules of production alone are marked so.
"""


def page() -> str:
    """All rules as Markdown, by file."""
    listed = rules.load(FOLDER)
    counts = len(listed.rules), sum(r.in_cluster for r in listed.rules.values())
    parts = [HEAD, f"{counts[0]} rules, {counts[1]} of them in the cluster too.\n"]
    for file in sorted(FOLDER.glob("*.yaml")):
        text = file.read_text()
        names = (read(text, file.name) or {}).get("rules")
        if names:
            parts.append(f"## {file.stem}\n\n{_comment(text)}\n")
            parts.append(
                "| rule | of | holds in | what it refuses, why, and what to do |"
            )
            parts.append("|---|---|---|---|")
            parts += [_row(listed.rules[name]) for name in names]
            parts.append("")
    return "\n".join(parts)


def _comment(text: str) -> str:
    """What a file says of itself in its first lines."""
    lines: Iterator[str] = iter(text.splitlines())
    found = []
    for line in lines:
        if not line.startswith("# "):
            break
        found.append(line.removeprefix("# "))
    return "\n".join(found)


def _row(rule: Rule) -> str:
    places = ["check", "cluster"] if rule.in_cluster else ["check"]
    where = ", ".join(places) + (", production only" if rule.production_only else "")
    kinds = ", ".join(f"`{kind.rpartition(':')[2]}`" for kind in rule.kinds)
    text = f"{rule.message}. {rule.why} **{rule.fix}**"
    for mark in ("|", "<"):
        text = text.replace(mark, f"\\{mark}")
    return f"| `{rule.id}` ({rule.severity}) | {kinds} | {where} | {text} |"
