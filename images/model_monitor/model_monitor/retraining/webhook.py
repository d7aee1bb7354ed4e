"""One attempt to hand a request over to a webhook."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from pathlib import Path

from model_monitor.exchange import Address, Patience, exchange

SILENCE_SECONDS = 5.0
"""Longest pause of a receiver."""
ATTEMPT_SECONDS = 10.0
"""Timeout of a whole attempt: a receiver that sends a byte now and then cannot delay
the cycle any longer."""
FIRST_BACKOFF_SECONDS = 60.0
LONGEST_BACKOFF_SECONDS = 6 * 3600.0
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Answer:
    """The result of an attempt."""

    is_accepted: bool
    text: str
    """The status, or why there is none. Never what the receiver wrote."""


def backoff_seconds(attempts: int) -> float:
    """Return how long to wait after so many attempts, 1 or more."""
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts - 1, 20)
    return min(doubled, LONGEST_BACKOFF_SECONDS)


def post(to: Address, token: Path | None, request_id: str, body: bytes) -> Answer:
    """Send a request; 2xx is acceptance, and anything else is to be tried again.

    The receiver may get one several times, always with the same Idempotency-Key.
    Redirects are not followed: the token is for this address.
    """
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f'"{request_id}"',
        "User-Agent": "model-monitor",
    }
    try:
        if token:
            headers["Authorization"] = f"Bearer {_read(token)}"
        patience = Patience(SILENCE_SECONDS, ATTEMPT_SECONDS)
        status, _ = exchange(
            to, "POST", to.path, headers=headers, body=body, patience=patience
        )
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(False, str(error) or type(error).__name__)
    return Answer(200 <= status < 300, str(status))


def _read(token: Path) -> str:
    found = token.read_text().strip()
    if not _TOKEN.fullmatch(found):
        raise ValueError(f"{token} holds no token")
    return found
