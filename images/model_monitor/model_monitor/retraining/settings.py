"""Settings of requests to retrain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_monitor.config_fields import Fields
from model_monitor.exchange import Address, address


@dataclass(frozen=True)
class Retraining:
    """The receiver of requests besides the store, and their repetition."""

    webhook: Address | None = None
    token: Path | None = None
    """File whose content the webhook gets as a bearer token; read for each request."""
    repeat_days: int = 30
    """A cause that lasts for so long is requested again."""


def parse(fields: Fields) -> Retraining:
    """Return the settings of the section `retraining`."""
    default = Retraining()
    token = fields.text("token", "")
    found = Retraining(
        webhook=fields.member("webhook_url", None, address),
        token=Path(token) if token else None,
        repeat_days=fields.whole("repeat_days", default.repeat_days, 1, 3650),
    )
    if found.token and not found.webhook:
        fields.refuse("token", "there is no webhook to give it to", "set webhook_url")
    fields.end()
    return found
