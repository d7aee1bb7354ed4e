"""What can be chosen about requests to retrain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from model_monitor.config_fields import Fields, WrongError

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?\.?")


@dataclass(frozen=True)
class Address:
    """Where a webhook listens."""

    is_secure: bool
    host: str
    port: int
    path: str
    """With the query, if there is one."""


@dataclass(frozen=True)
class Retraining:
    """Where requests go beside the store, and when one is repeated."""

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


def address(value: object) -> Address:
    """Return the parts of a URL; raise WrongError."""
    fix = "write http://HOST or https://HOST, with :PORT and /PATH as needed"
    if not isinstance(value, str):
        raise WrongError(f"is no text; {fix}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise WrongError(f"is no URL ({error}); {fix}") from None
    if parts.scheme not in {"http", "https"}:
        raise WrongError(f"has not the scheme http or https; {fix}")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise WrongError(f"names no host; {fix}")
    if parts.username is not None or parts.fragment:
        raise WrongError("has a user or a fragment; give a secret as `token` instead")
    path = parts.path or "/"
    if not re.fullmatch(r"[!-~]+", f"{path}{parts.query}"):
        raise WrongError("has a space or a character beyond ASCII; write it as %XX")
    is_secure = parts.scheme == "https"
    return Address(
        is_secure,
        parts.hostname,
        port or (443 if is_secure else 80),
        f"{path}?{parts.query}" if parts.query else path,
    )
