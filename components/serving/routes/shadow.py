"""The header that marks a copied request; callers' values never reach a model server.

A model server logs requests with it as copies, which do not count
(contracts/prediction_record.yaml). A caller could otherwise hide requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.delivery.rollout_file import SHADOW_HEADER

KIND = "RequestHeaderModifier"

Object = dict[str, Any]


def without_header(filters: Sequence[Object]) -> list[Object]:
    """Return a rule's filters with one that removes the header from requests.

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
