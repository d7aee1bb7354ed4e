"""A model card as CycloneDX 1.7: https://cyclonedx.org/docs/1.7/json/.

The same card gives the same bytes, so that its digest can be evidence in the ledger.
What CycloneDX has no place for are properties `slipway:...`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from slipway.ledger.card import NOT_STATED, Card
from slipway.ledger.card_fields import ABOUT, FIELDS, TEXTS
from slipway.ledger.figures import Figure

SCHEMA = "http://cyclonedx.org/schema/bom-1.7.schema.json"
_AT_PLACE = {
    *("description", "licence", "users", "use_cases", "approach", "task"),
    *("architecture_family", "architecture", "trained_on", "limitations"),
    *("tradeoffs", "ethical_considerations", "fairness"),
}
"""Fields that CycloneDX has a place for."""
Object = dict[str, Any]


def text(card: Card) -> str:
    """The document."""
    document = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": {"component": component(card)},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def component(card: Card) -> Object:
    """The model as a component with its card."""
    stated = card.stated
    licence = stated.get("licence")
    return _without_empty(
        {
            "type": "machine-learning-model",
            "bom-ref": f"{card.model}@{card.revision}",
            "name": card.model,
            "version": card.revision,
            "description": stated.get("description"),
            "hashes": _hashes(card),
            "pedigree": _pedigree(card),
            "licenses": [{"license": {"name": licence}}] if licence else None,
            "modelCard": _model_card(card),
            "properties": [
                {"name": name, "value": value} for name, value in _properties(card)
            ],
        }
    )


def _model_card(card: Card) -> Object:
    stated = card.stated
    approach = stated.get("approach")
    return _without_empty(
        {
            "modelParameters": _without_empty(
                {
                    "approach": {"type": approach} if approach else None,
                    "task": stated.get("task"),
                    "architectureFamily": stated.get("architecture_family"),
                    "modelArchitecture": stated.get("architecture"),
                    "datasets": _datasets(card),
                    "inputs": _tensors(card.manifest.get("inputs")),
                    "outputs": _tensors(card.manifest.get("outputs")),
                }
            ),
            "quantitativeAnalysis": _without_empty(
                {"performanceMetrics": [_metric(it) for it in card.figures]}
            ),
            "considerations": _considerations(stated),
        }
    )


def _considerations(stated: Object) -> Object:
    risks = stated.get("ethical_considerations", [])
    groups = stated.get("fairness", [])
    return _without_empty(
        {
            "users": stated.get("users"),
            "useCases": stated.get("use_cases"),
            "technicalLimitations": stated.get("limitations"),
            "performanceTradeoffs": stated.get("tradeoffs"),
            "ethicalConsiderations": [
                _renamed(it, name="name", mitigation="mitigationStrategy")
                for it in risks
            ],
            "fairnessAssessments": [
                _renamed(
                    it,
                    group="groupAtRisk",
                    benefits="benefits",
                    harms="harms",
                    mitigation="mitigationStrategy",
                )
                for it in groups
            ],
        }
    )


def _datasets(card: Card) -> list[Object]:
    name = card.stated.get("trained_on")
    reference = card.reference
    facts = {
        "sha256": str(_digest_of_data(card)),
        "rows": str(reference.get("rows", "")),
        "period": str(reference.get("year", "")),
    }
    properties = [
        {"name": f"slipway:data:{key}", "value": it} for key, it in facts.items() if it
    ]
    if not name and not properties:
        return []
    return [
        {
            "type": "dataset",
            "name": name or NOT_STATED,
            "contents": {"properties": properties},
        }
    ]


def _digest_of_data(card: Card) -> str:
    digests = card.manifest.get("digests")
    found = digests.get("data", "") if isinstance(digests, dict) else ""
    return str(found).removeprefix("sha256:")


def _tensors(given: object) -> list[Object]:
    """`name datatype shape` of each tensor of model.yaml."""
    tensors = given if isinstance(given, list) else []
    keys = ("name", "datatype", "shape")
    return [
        {"format": " ".join(str(it[key]) for key in keys if key in it)}
        for it in tensors
        if isinstance(it, dict)
    ]


def _metric(figure: Figure) -> Object:
    found: Object = {"type": figure.type, "value": figure.value}
    if figure.slice:
        found["slice"] = figure.slice
    if figure.lower:
        bounds = {"lowerBound": figure.lower, "upperBound": figure.upper}
        found["confidenceInterval"] = bounds
    return found


def _pedigree(card: Card) -> Object:
    """The revision that it was made from: CycloneDX's ancestor."""
    origin = card.derivation
    if not origin:
        return {}
    ancestor = {
        "type": "machine-learning-model",
        "name": card.model,
        "version": origin.get("revision"),
    }
    return {
        "ancestors": [_without_empty(ancestor)],
        "notes": f"made by the recipe {origin.get('recipe')} of `slipway optimize`",
    }


def _hashes(card: Card) -> list[Object]:
    """Return the hashes of the graph; other files are properties."""
    graph = card.files.get("model.onnx")
    return [{"alg": "SHA-256", "content": graph}] if graph else []


def _properties(card: Card) -> Iterator[tuple[str, str]]:
    for field in FIELDS:
        if field.name not in _AT_PLACE:
            value = card.stated.get(field.name, NOT_STATED)
            values = value if field.kind == TEXTS and value != NOT_STATED else [value]
            for it in values:
                yield f"slipway:{ABOUT}:{field.name}", it
    for path, sha256 in card.files.items():
        yield f"slipway:file:{path}", f"sha256:{sha256}"
    if card.registered:
        if image := card.registered.subject.get("image"):
            yield "slipway:image", image
        yield "slipway:ledger:state", card.registered.state
    for entry in card.entries:
        said = f"{entry.time} {entry.action} by {entry.actor}"
        if reason := entry.details.get("reason"):
            said += f": {reason}"
        yield f"slipway:ledger:entry:{entry.head}", said


def _renamed(given: Object, **names: str) -> Object:
    return {new: given[old] for old, new in names.items() if old in given}


def _without_empty(given: Object) -> Object:
    return {key: value for key, value in given.items() if value not in (None, [], {})}
