"""Model folders that state much or little, for cards of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ABOUT: dict[str, Any] = {
    "provider": "The statistics office",
    "intended_purpose": "Planning of job centres | by district",
    "users": ["planners", "auditors"],
    "use_cases": ["staff for next year"],
    "hardware": "any x86-64 CPU",
    "approach": "supervised",
    "task": "binary classification",
    "architecture_family": "gradient boosting",
    "architecture": "histogram gradient boosting, 100 trees",
    "limitations": ["Massachusetts only", "people from 16 to 90"],
    "tradeoffs": ["recall over precision"],
    "oversight": "A planner confirms each plan",
    "metrics_why": "Both errors cost the same",
    "risk_management": "risks.md, reviewed each quarter",
    "ethical_considerations": [
        {"name": "used against individuals", "mitigation": "access by role"}
    ],
    "fairness": [
        {
            "group": "women",
            "benefits": "places nearby",
            "harms": "fewer offers",
            "mitigation": "gap of selection rates is watched",
        }
    ],
    "standards": ["ISO/IEC 42001:2023"],
    "declaration": "none: not a high-risk use",
    "monitoring_plan": "the model monitor, daily",
}
FULL: dict[str, Any] = {
    "name": "employment",
    "revision": "r1",
    "description": "Whether a resident is employed",
    "licence": "public domain",
    "trained_on": "ACS PUMS 2015",
    "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 16]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
    "digests": {"data": f"sha256:{'d' * 64}"},
    "metrics": {2015: {"rows": 68785, "accuracy": 0.8312}},
    "about": ABOUT,
}
LITTLE: dict[str, Any] = {"name": "employment", "revision": "r1"}
FIGURES = [
    {"type": "accuracy", "value": 0.81, "slice": "women", "lower": 0.8, "upper": 0.82}
]


def write(folder: Path, manifest: dict[str, Any]) -> Path:
    """A model folder; one that states much has a reference too."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"the graph")
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest))
    if "trained_on" in manifest:
        reference = {"revision": manifest["revision"], "rows": 68785, "year": 2015}
        (folder / "reference.json").write_text(json.dumps(reference))
    return folder
