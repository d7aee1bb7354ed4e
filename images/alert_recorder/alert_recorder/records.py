"""Records of alerts, and the body of a webhook that they come from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

FIELDS = ("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint")
NAME = "alertname"
MAXIMUM_TEXT_BYTES = 4 << 20
"""Maximum size of one message's records: each repeats the message's group."""


class Refusal(Exception):  # noqa: N818 (an answer, not a fault of ours)
    """A request that is answered with an error status."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, eq=False)
class Record:
    """One notification of an alert; `text` is the whole notification as JSON."""

    text: bytes
    status: str
    name: str
    alert: str = field(repr=False)
    """Its labels, in one order: what is the same for the same alert."""

    @property
    def is_firing(self) -> bool:
        return self.status == "firing"

    @property
    def labels(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.alert)
        return found


def record_of(content: dict[str, Any]) -> Record:
    """A record of what its text says; KeyError or TypeError where it is none."""
    labels = dict(content["labels"])
    return Record(
        json.dumps(content).encode(),
        str(content["status"]),
        str(labels.get(NAME, "")),
        json.dumps(labels, sort_keys=True),
    )


def parse(body: bytes, received: datetime) -> list[Record]:
    """One record per alert of a webhook body; Refusal says what is wrong with it."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"body is not JSON: {error}") from error
    alerts = message.get("alerts") if isinstance(message, dict) else None
    if not isinstance(alerts, list):
        raise Refusal(HTTPStatus.BAD_REQUEST, "body has no list `alerts`")
    records = []
    size = 0
    for index, alert in enumerate(alerts):
        if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
            raise Refusal(
                HTTPStatus.BAD_REQUEST, f"alerts[{index}] has no object `labels`"
            )
        content: dict[str, Any] = {
            "received": received.isoformat(timespec="milliseconds"),
            **{field: alert.get(field) for field in FIELDS},
            "receiver": message.get("receiver"),
            "groupKey": message.get("groupKey"),
        }
        records.append(record_of(content))
        size += len(records[-1].text)
        if size > MAXIMUM_TEXT_BYTES:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"its alerts take over {MAXIMUM_TEXT_BYTES} bytes as records",
            )
    return records
