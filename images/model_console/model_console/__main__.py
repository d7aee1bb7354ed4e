"""Runs the console: `python -m model_console`. Settings are environment variables.

It ends with 0 after SIGTERM; a wrong setting ends it with 2.
"""

from __future__ import annotations

import os
import sys

from model_console import logs, server, settings


def main() -> int:
    logs.configure()
    try:
        return server.serve(settings.read(os.environ))
    except settings.SettingsError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
