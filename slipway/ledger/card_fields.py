"""Fields of a model card, their sources, and the items of Annex IV.

Annex IV of Regulation (EU) 2024/1689 (the AI Act) lists the technical documentation of
a high-risk system. The table helps to fill it in; it is not legal advice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TEXT, TEXTS, CHOICE, RISKS, GROUPS = "text", "texts", "choice", "risks", "groups"
APPROACHES = (
    "supervised",
    "unsupervised",
    "reinforcement-learning",
    "semi-supervised",
    "self-supervised",
)
RISK = ("name", "mitigation")
GROUP = ("group", "benefits", "harms", "mitigation")
_FORMS = {
    TEXT: "a text",
    TEXTS: "a list of texts",
    CHOICE: f"one of {', '.join(APPROACHES)}",
    RISKS: f"a list of mappings with texts for {', '.join(RISK)}",
    GROUPS: f"a list of mappings with texts for {', '.join(GROUP)}",
}
ABOUT = "about"


@dataclass(frozen=True)
class Field:
    """One statement of a card."""

    name: str
    """Its key: below `about`, or, with `at_top`, of model.yaml itself."""
    title: str
    annex: int
    """The item of Annex IV."""
    kind: str = TEXT
    required: bool = False
    """Whether `--check prod` requires it."""
    at_top: bool = False

    @property
    def path(self) -> str:
        return self.name if self.at_top else f"{ABOUT}.{self.name}"

    @property
    def form(self) -> str:
        return _FORMS[self.kind]


FIELDS = (
    Field("description", "Description", 1, required=True, at_top=True),
    Field("licence", "Licence", 1, required=True, at_top=True),
    Field("provider", "Provider, who answers for it", 1, required=True),
    Field("intended_purpose", "Intended purpose", 1, required=True),
    Field("users", "Users", 1, TEXTS, required=True),
    Field("use_cases", "Use cases", 1, TEXTS),
    Field("hardware", "Hardware it is meant to run on", 1),
    Field("approach", "Approach to learning", 2, CHOICE),
    Field("task", "Task", 2, required=True),
    Field("architecture_family", "Family of architectures", 2),
    Field("architecture", "Architecture", 2),
    Field("trained_on", "Training data", 2, required=True, at_top=True),
    Field("limitations", "Limitations", 3, TEXTS, required=True),
    Field("tradeoffs", "Trade-offs of performance", 3, TEXTS),
    Field("oversight", "Human oversight", 3, required=True),
    Field("metrics_why", "Why these metrics fit", 4, required=True),
    Field("risk_management", "Risk management", 5, required=True),
    Field("ethical_considerations", "Ethical considerations", 5, RISKS),
    Field("fairness", "Fairness by group", 5, GROUPS),
    Field("standards", "Standards applied", 7, TEXTS),
    Field("declaration", "Declaration of conformity", 8),
    Field("monitoring_plan", "Monitoring after release", 9, required=True),
)
ITEMS = {
    1: "General description",
    2: "Development",
    3: "Monitoring, functioning and control",
    4: "Metrics",
    5: "Risk management",
    6: "Changes through the lifecycle",
    7: "Standards",
    8: "Declaration",
    9: "Monitoring after release",
}


def read(manifest: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Values of the fields that model.yaml states, and what is wrong with others.

    Texts are without the white space around them. One that is empty then, or an empty
    list, states nothing; within a list, it is wrong.
    """
    about = manifest.get(ABOUT) or {}
    if not isinstance(about, Mapping):
        return {}, [f"{ABOUT}: {about!r} is not a mapping; write `name: value` lines"]
    values, problems = {}, []
    for field in FIELDS:
        given = (manifest if field.at_top else about).get(field.name)
        value = _stripped(given)
        if value is None or value in ("", []):
            continue
        if not _fits(value, field.kind):
            problems.append(f"{field.path}: {given!r} is not {field.form}")
        elif _has_empty(value):
            problems.append(
                f"{field.path}: {given!r} has an empty text; remove it or fill it in"
            )
        else:
            values[field.name] = value
    return values, problems


def missing(values: Mapping[str, Any]) -> Iterator[str]:
    """A problem for each required field that nobody has stated."""
    for field in FIELDS:
        if field.required and field.name not in values:
            yield (
                f"{field.path}: not stated, and item {field.annex} of Annex IV asks "
                f"for it; write {field.form} in model.yaml"
            )


def _stripped(value: Any) -> Any:
    """Return the value with all its texts stripped."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return [_stripped(it) for it in value]
    if isinstance(value, dict):
        return {key: _stripped(it) for key, it in value.items()}
    return value


def _has_empty(value: Any) -> bool:
    """Whether any text in a value that fits its kind is empty."""
    if isinstance(value, dict):
        return any(map(_has_empty, value.values()))
    if isinstance(value, list):
        return any(map(_has_empty, value))
    return not value


def _fits(value: Any, kind: str) -> bool:
    if kind == TEXT:
        return isinstance(value, str)
    if kind == CHOICE:
        return value in APPROACHES
    if not isinstance(value, list):
        return False
    if kind == TEXTS:
        return all(isinstance(it, str) for it in value)
    keys = RISK if kind == RISKS else GROUP
    return all(_has_only(it, keys) for it in value)


def _has_only(value: Any, keys: tuple[str, ...]) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and set(value) <= set(keys)
        and all(isinstance(it, str) for it in value.values())
    )
