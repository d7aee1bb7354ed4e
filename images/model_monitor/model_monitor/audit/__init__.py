"""The audit chain: labels, erasures, thresholds and accesses, in order."""

from model_monitor.audit.chain import Chain, ChainError
from model_monitor.audit.entry import Entry
from model_monitor.audit.verify import Anchor, Break, Verdict, verify

__all__ = ["Anchor", "Break", "Chain", "ChainError", "Entry", "Verdict", "verify"]
