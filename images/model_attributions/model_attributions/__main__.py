"""`python -m model_attributions`: attribute what waits, and end.

Exit status: 0 all done, 1 something failed (the others were still done), 2 wrong
settings.
"""

from __future__ import annotations

import logging
import os
import sys

from model_server import logs
from model_server.manifest import ModelError

from model_attributions import job, settings
from model_attributions.columns import UnfitError
from model_attributions.monitor import Monitor, MonitorError
from model_attributions.settings import Settings, SettingsError

logger = logging.getLogger("model_attributions")


def main() -> int:
    logs.configure("info")
    try:
        chosen = settings.from_environment(os.environ)
        monitor = Monitor(chosen.monitor, job.token(chosen.token))
    except SettingsError as error:
        for problem in error.problems:
            logger.error(problem)  # noqa: TRY400, the reason says it all
        return 2
    except (OSError, IndexError) as error:
        logger.error(f"no token can be read: {error}")  # noqa: G004, TRY400
        return 2
    problems = [
        it for watched in chosen.models for it in _run(watched, monitor, chosen)
    ]
    for problem in problems:
        logger.error(problem)
    return 1 if problems else 0


def _run(watched: settings.Watched, monitor: Monitor, chosen: Settings) -> list[str]:
    try:
        return job.run(watched, monitor, chosen)
    except (ModelError, MonitorError, UnfitError) as error:
        return [f"{watched.name}: {error}"]


if __name__ == "__main__":
    sys.exit(main())
