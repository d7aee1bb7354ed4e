"""The ledger's entry of a decision: the verdict can be computed again from it alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rollout import settings as settings_module
from rollout.facts import Facts
from rollout.gate import Judgement
from rollout.settings import Settings
from rollout.status import Order
from rollout.verdict import Outcome, Verdict, weigh

FORMAT = 1

Entry = dict[str, Any]


def entry(
    identity: str,
    settings: Settings,
    facts: Facts,
    outcome: Outcome,
    *,
    goal: int,
    order: Order | None,
    previous: str,
    mirror: int = 0,
) -> Entry:
    """One decision, as JSON without fractions; `previous` is the digest before it.

    `mirror`: percent of the requests that are copied to the canary after it.
    """
    return _mirrors(facts, mirror) | {
        "format": FORMAT,
        "id": identity,
        "previous": previous,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "weights": {"before": facts.weight, "after": goal},
        "order": asdict(order) if order else None,
        "judgements": [plain(it) for it in outcome.judgements],
        "facts": facts.plain(),
        "settings": settings.plain(),
    }


def _mirrors(facts: Facts, mirror: int) -> dict[str, Any]:
    """Copies before and after, if there are any."""
    found = {"before": facts.mirror, "after": mirror}
    return {"mirrors": found} if any(found.values()) else {}


def plain(judgement: Judgement) -> dict[str, Any]:
    """A judgement as JSON without fractions; bounds may be infinite."""
    numbers = ("estimate", "lower", "upper", "evidence")
    found = asdict(judgement) | {it: repr(getattr(judgement, it)) for it in numbers}
    return found | {"requests": [*judgement.requests], "bad": [*judgement.bad]}


def digest(of: Entry) -> str:
    """SHA-256 of the entry's canonical JSON (contracts/audit_chain.yaml)."""
    text = json.dumps(of, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def recompute(found: Mapping[str, Any]) -> tuple[Outcome, list[str]]:
    """The verdict from an entry alone, and what of the entry differs from it.

    An order comes from a person and has no verdict to recompute: its request is
    compared with what was done. KeyError, TypeError or ValueError if it is not an
    entry, or one of another format.
    """
    if found["format"] != FORMAT:
        raise ValueError(f"an entry of format {found['format']}; known is {FORMAT}")
    settings = settings_module.read(found["settings"])
    facts = Facts.of(found["facts"])
    outcome = weigh(settings, facts)
    by = found["order"]
    if found["verdict"] == Verdict.ORDER and by is None:
        return outcome, ["order: the entry says order and has none"]
    if found["verdict"] == Verdict.ORDER:
        now = _obeyed(Order.of(by), facts)
    else:
        now = {
            "verdict": outcome.verdict.value,
            "reason": outcome.reason,
            "weights": {"before": facts.weight, "after": outcome.goal(settings, facts)},
            "order": None,
            "judgements": [plain(it) for it in outcome.judgements],
            "mirrors": _mirrors(facts, outcome.mirror(settings, facts)).get("mirrors"),
        }
    return outcome, [
        f"{name}: the entry says {found.get(name)}, its facts give {value}"
        for name, value in now.items()
        if found.get(name) != value
    ]


def _obeyed(order: Order, facts: Facts) -> dict[str, Any]:
    """What the entry of an order says if the controller did what it asks for."""
    return {
        "reason": order.reason,
        "weights": {"before": facts.weight, "after": order.goal(facts.weight)},
        "judgements": [],
        "mirrors": _mirrors(facts, order.mirror(facts.mirror)).get("mirrors"),
    }
