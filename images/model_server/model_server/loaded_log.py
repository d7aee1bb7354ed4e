"""The log line of a loaded model."""

from __future__ import annotations

import logging

from model_server import cgroup
from model_server.batching import INLINE_SECONDS
from model_server.endpoint import Endpoint
from model_server.preparation import Prepared

logger = logging.getLogger("model_server")


def log_loaded(
    endpoint: Endpoint, item: Prepared, *, is_default: bool, threads: int
) -> None:
    """Log what a model is and how it will be run, and a doubt in it as a warning."""
    manifest, run = endpoint.manifest, item.run_time
    if item.doubt:
        logger.warning(
            "each request of this model runs by itself, since it is unknown "
            "whether rows may share a run: %s",
            item.doubt,
            extra={"model": manifest.name, "version": manifest.version},
        )
    logger.info(
        "model loaded",
        extra={
            "model": manifest.name,
            "version": manifest.version,
            "revision": endpoint.revision,
            "is_default": is_default,
            "threads": threads,
            "cpu_limit": cgroup.cpu_limit(),
            "one_row_seconds": round(run.one, 6),
            "full_batch_seconds": round(run.full, 6),
            "inline_rows": run.rows_within(INLINE_SECONDS),
            "runs_apart": item.runs_apart,
            "examples": item.examples,
            "evaluator": item.model.evaluator,
            "not_trees": item.not_trees,
            "logged_features": len(manifest.log.logged),
            "protected_attributes": len(manifest.log.protected),
        },
    )
