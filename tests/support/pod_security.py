"""What the rules of policies/pod-security.yaml say of a pod's spec."""

from __future__ import annotations

from typing import Any

from components.security import rules
from slipway.policy.evaluation import Evaluator

_LISTED = rules.load()
_EVALUATOR = Evaluator(_LISTED)
RESTRICTED = [r for r in _LISTED.rules.values() if r.id.startswith("restricted-")]
"""The Pod Security Standard `restricted`, check by check."""


def violations(pod: dict[str, Any]) -> list[str]:
    """What of a pod's spec the standard refuses; nothing if it conforms."""
    workload = {"kind": "Deployment", "spec": {"template": {"spec": pod}}}
    return [
        f"{rule.id}: {text}"
        for rule in RESTRICTED
        for text in _EVALUATOR.wrong(rule, workload, {})
    ]
