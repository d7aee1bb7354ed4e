"""The header by which a copied request is known: no caller's reaches a model server.

A model server writes requests with it to the log as copies, which count for nothing
(contracts/prediction_record.yaml). A caller could hide requests by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.delivery.rollout_file import SHADOW_HEADER

KIND = "RequestHeaderModifier"

Object = dict[str, Any]


def without_header(filters: Sequence[Object]) -> list[Object]:
    """A rule's filters, of which one takes the header off requests.

    A rule can have one filter of that kind.
    """
    others = [it for it in filters if it["type"] != KIND]
    changes: Object = {}
    for one in filters:
        if one["type"] == KIND:
            changes = dict(one["requestHeaderModifier"])
    removed = [*changes.get("remove", []), SHADOW_HEADER]
    changes["remove"] = removed
    return [*others, {"type": KIND, "requestHeaderModifier": changes}]
