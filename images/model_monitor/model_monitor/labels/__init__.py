"""Labels: the observed outcomes, joined to their predictions."""

from model_monitor.labels.importing import (
    LabelImport,
    LabelsRefusedError,
    import_labels,
    import_posted,
)
from model_monitor.labels.joining import JoinResult, LabelJoin
from model_monitor.labels.latest import LATEST, LATEST_FIRST

__all__ = [
    "LATEST",
    "LATEST_FIRST",
    "JoinResult",
    "LabelImport",
    "LabelJoin",
    "LabelsRefusedError",
    "import_labels",
    "import_posted",
]
