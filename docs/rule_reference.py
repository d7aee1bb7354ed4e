"""The reference page of the rules: those of policies/, and those of settings.

The latter are code that judges settings before there is an object
(docs/decisions/0073-rules-of-settings-stay-with-the-settings.md). They are taken from
the corpus of refused configurations, which has a case for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.security import rules
from components.security.rules import Rule
from components.yaml_text import read
from docs import refused_cases
from toolchain import paths

PAGE = Path("docs/reference/rules.md")
FOLDER = paths.ROOT / rules.FOLDER
HEAD = """\
# Rules

Generated from `policies/` and the refused configurations by `make docs`; a test
compares. How to use them: [rules](../how-to/rules.md). **check** is `slipway check` and
the policy pack of `pulumi up`. **cluster** is the API server where `admission.enabled`
is set: there, errors are refused in production. Rules of production alone are marked
so.
"""
PRODUCTION = "production: "
"""How reasons begin that hold in production alone."""
OF_SETTINGS = """\
## Settings in production

What the settings of a stack in production are refused for, before anything is rendered:
at `slipway up`, `preview`, `render`, `check` and `compare`. These rules are code and
have no waivers ([why](../decisions/0073-rules-of-settings-stay-with-the-settings.md)).
[All refused configurations](refused.md) are on a page of their own.
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
    return "\n".join([*parts, *_of_settings()])


def _of_settings() -> Iterator[str]:
    """Return the refusals in production, each once by its reason and fix."""
    yield OF_SETTINGS
    yield "| layer | setting, for example | what is refused | what to do |"
    yield "|---|---|---|---|"
    seen: set[tuple[str, str, str]] = set()
    for file in refused_cases.files():
        layer = refused_cases.layer(file)
        for case in refused_cases.cases(file):
            for problem in case.found():
                reason = problem.reason.removeprefix(PRODUCTION)
                one = layer, reason, problem.fix
                if reason != problem.reason and one not in seen:
                    seen.add(one)
                    texts = map(_cell, (reason, problem.fix))
                    yield f"| {layer} | `{problem.path}` | {' | '.join(texts)} |"
    yield ""


def _cell(text: str) -> str:
    plain = " ".join(text.split())
    for mark in ("|", "<"):
        plain = plain.replace(mark, f"\\{mark}")
    return plain


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
    text = _cell(f"{rule.message}. {rule.why} **{rule.fix}**")
    return f"| `{rule.id}` ({rule.severity}) | {kinds} | {where} | {text} |"
