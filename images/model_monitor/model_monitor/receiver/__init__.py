"""The receiver: log files and labels over HTTP, for clusters without shared storage."""

from model_monitor.receiver.application import application, routes
from model_monitor.receiver.counters import Counters
from model_monitor.receiver.errors import HANDLERS
from model_monitor.receiver.settings import ReceiverSettings

__all__ = ["HANDLERS", "Counters", "ReceiverSettings", "application", "routes"]
