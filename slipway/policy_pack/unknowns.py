"""Whether a rule's verdict may depend on a value that is not known yet.

A preview sends unknown values for other resources' outputs. CEL has no such value here,
so a rule's text is compared with the unknown paths. A rule that may read one of them is
not evaluated; `up` evaluates it once the value is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from components.security.rules import Rule, RuleList

Path = tuple[str, ...]
"""Keys from the object or its inputs to a value."""
ITEM = "[]"
"""In a path: any index of a list."""
DOCUMENTS = "policies"
"""Where rules find documents of inputs such as `policy` (slipway/policy/objects.py)."""
_WORD = re.compile(r"\w+")
_HAS = re.compile(r"\bhas\([^()]*\)")
_MACRO = re.compile(r"\.(?:all|exists|exists_one|filter|map)\(\s*(\w+)\s*,")
_VARIABLE = re.compile(r"\bvariables\.\w+\b(?!\s*\.)")
_WHOLE = r"\b{}\b(?!\s*\.)"
"""A key that no field and no function follows."""
_HANDED_ON = r"(?!\s*(?:[:+]|$))"
"""It is not just what a variable stands for."""
_CALLED = r"\b{}\b\s*\.\s*\??\w+\s*\("
"""A key with a function of its value, such as a macro."""


@dataclass(frozen=True)
class Text:
    """The texts of a rule."""

    expression: str
    variables: Sequence[str] = ()
    """The expressions of all variables that it uses."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every expression."""
        return (self.expression, *self.variables)


def text_of(rules: RuleList, rule: Rule) -> Text:
    """The rule's expression and its variables."""
    return Text(rule.expression, tuple(rules.variables_of(rule.expression).values()))


def reads(text: Text, path: Path) -> bool:
    """Return whether the rule may read the value at the path; true if uncertain."""
    *above, leaf = (key for key in path if key != ITEM)
    words = {word for one in text.all for word in _WORD.findall(one)}
    if leaf in words or ("policy" in leaf.lower() and DOCUMENTS in words):
        return True
    if any(_takes_whole(text, key) for key in above):
        return True
    if not above or not any(_found(_CALLED, above[-1], one) for one in text.all):
        return False
    # A macro reads fields of a list's items, whose names are words of the text.
    return path[-2] != ITEM or _takes_items(text)


def _takes_whole(text: Text, key: str) -> bool:
    """Return whether the key's value is compared or passed to a function unchanged."""
    if _VARIABLE.search(text.expression) or _found(_WHOLE, key, text.expression):
        return True
    texts = (_HAS.sub("", one) for one in text.variables)
    return any(_found(_WHOLE + _HANDED_ON, key, one) for one in texts)


def _takes_items(text: Text) -> bool:
    """Return whether a macro uses an item of its list unchanged."""
    for one in text.all:
        bodies = _MACRO.sub("", one)
        if any(_found(_WHOLE, name, bodies) for name in _MACRO.findall(one)):
            return True
    return False


def _found(pattern: str, key: str, text: str) -> bool:
    return bool(re.search(pattern.replace("{}", re.escape(key)), text))
