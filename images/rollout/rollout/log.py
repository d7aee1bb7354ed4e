"""The log of this program."""

from __future__ import annotations

from pod_parts.log import Log

log = Log("rollout")
