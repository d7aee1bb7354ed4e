"""A read-only JSON API for the console: results and the audit trail, never rows."""

from model_monitor.api.routes import routes

__all__ = ["routes"]
