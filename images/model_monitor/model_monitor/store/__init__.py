"""The store: landed files become parquet by day, hour, model and revision."""

from model_monitor.store.ingest import IngestResult, ingest
from model_monitor.store.limits import Limits
from model_monitor.store.store import Part, Store, StoreInUseError

__all__ = ["IngestResult", "Limits", "Part", "Store", "StoreInUseError", "ingest"]
