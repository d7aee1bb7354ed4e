"""What one contender of `python -m benchmarks.rendering` does, in a process of its own.

Arguments: `render` or `side` or `report`, then what these need. Takes the code from
the first folder of its path, so that each revision is measured by its own code. Prints
the CPU seconds and the time that imports took.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STACK = "models.dev"
IMAGES = {
    name: f"registry.invalid/{name}@sha256:{0:064}"
    for name in ("employment", "model-server", "envoy")
}


def models(number: int, replicas: int = 6) -> dict[str, Any]:
    """Settings of plain models; the first one may have that many replicas."""
    found: dict[str, Any] = {
        f"model-{index:04}": {
            "model_image": "employment",
            "route": {"prefix": f"/model-{index:04}/v1"},
        }
        for index in range(number)
    }
    found["model-0000"]["scaling"] = {"max_replicas": replicas}
    return found


def render(number: str) -> None:
    """Renders that many models and writes their manifests."""
    from slipway.rendering.render import render as rendered

    started = time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = rendered(STACK, {"models": models(int(number))}, IMAGES)
        files = found.write(Path(folder))
    _print_times(started, files=len(files))


def side(checkout: str) -> None:
    """Renders one side of a report."""
    from slipway.preview import rendering
    from slipway.preview.sides import Side

    started = time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        one = Side(checkout, Path(checkout))
        rendering.render([(one, [STACK])], [None], Path(folder))
    _print_times(started)


def report(base: str, head: str) -> None:
    """Makes the whole report."""
    from slipway.preview import comparison, markdown
    from slipway.preview.sides import Side

    started = time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        before, after = (Side(name, Path(name)) for name in (base, head))
        found = comparison.compare(before, after, [STACK], (None, None), Path(folder))
        text = markdown.text(found)
    _print_times(started, items=len(found.items), characters=len(text))


def _print_times(started: tuple[float, float], **more: int) -> None:
    print(json.dumps({"cpu_before": started[0], "start": started[1], **more}))


if __name__ == "__main__":
    tasks: dict[str, Callable[..., None]] = {
        "render": render,
        "side": side,
        "report": report,
    }
    tasks[sys.argv[1]](*sys.argv[2:])
