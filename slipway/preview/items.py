"""Names, values and lists of resources as Markdown, for reports.

Names and values come from the code that is reviewed. They stand in code spans with
nothing in them that could end one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from slipway.preview.report import Item

MANY = 3
"""Resources with one reason that share a line."""


def code(value: object) -> str:
    """The value in a code span, whatever is in it; in quotes if it is blank.

    Two backticks around nothing would begin another span.
    """
    plain = "".join(c if c.isprintable() else " " for c in str(value))
    plain = plain if plain.strip() else f'"{plain}"'
    return "`" + plain.replace("`", "'").replace("|", "¦") + "`"


def title(text: str) -> Iterator[str]:
    """A section's."""
    yield from ("", f"#### {text}")


def items(heading: str, found: Sequence[Item]) -> Iterator[str]:
    """A section with a line for each resource, or for many with the same reason."""
    if not found:
        return
    yield from title(heading)
    for (stack, said), group in groupby(found, lambda it: (it.stack, _reason(it))):
        same = list(group)
        if not said or len(same) < MANY:
            yield from (f"- {item_text(item)}{said}" for item in same)
            continue
        yield f"- {code(stack)}, {len(same)} resources{said}"
        for kind, alike in groupby(same, lambda it: kind_text(it.type)):
            yield f"  - {kind} {', '.join(code(item.name) for item in alike)}"


def item_text(item: Item) -> str:
    """Stack, kind and name."""
    return f"{code(item.stack)} {kind_text(item.type)} {code(item.name)}"


def kind_text(type_: str) -> str:
    """`Deployment`, `eks NodeGroup`: the kind, with the service of other providers."""
    provider, module, kind = type_.split(":")
    service = module.partition("/")[0]
    return code(kind if provider == "kubernetes" else f"{service} {kind}")


def _reason(item: Item) -> str:
    texts = [code(item.reason) if item.reason else ""]
    if item.holds_data and item.action in ("deleted", "replaced"):
        texts.append("**holds data**")
    if item.action == "deleted" and item.protection:
        texts.append("protected: the engine refuses to delete it")
    if item.action == "deleted" and item.retained:
        texts.append("stays in the cloud or cluster, no longer managed")
    said = "; ".join(filter(None, texts))
    return f": {said}" if said else ""
