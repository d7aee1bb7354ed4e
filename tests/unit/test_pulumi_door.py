"""`pulumi up`: the folder `stacks` run as a program, as Pulumi's language host does.

The language host is not part of the toolchain that we build, so its steps are taken
here: settings in the environment, the folder run by runpy, the test monitor answering.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from lab import paths
from slipway import stack_files
from slipway.render import render

HOST = """
import asyncio, json, runpy, sys
from pulumi.runtime.settings import Settings, configure
from pulumi.runtime.stack import run_in_stack
from slipway.monitor import Recording, RecordingEngine, RecordingMonitor

recording = Recording()
configure(
    Settings(
        project="slipway",
        stack="models.lab",
        monitor=RecordingMonitor(recording, "slipway", "models.lab"),
        engine=RecordingEngine(recording),
        dry_run=False,
        organization="organization",
    )
)
# The host starts outside of the checkout, which is then on the path by nobody's doing.
folder = sys.argv[1]
sys.path[:] = [p for p in sys.path if p not in ("", folder.rpartition("/")[0])]
for name in [n for n in sys.modules if n.split(".")[0] in ("stacks", "platform")]:
    del sys.modules[name]
program = lambda: runpy.run_path(folder, run_name="__main__") and None
asyncio.run(run_in_stack(program))
import platform
print(json.dumps([sorted(r.urn for r in recording.resources), platform.system()]))
"""


class AnyImages(dict[str, str]):
    """A lock with a reference for every name that the stacks use."""

    EXAMPLES = ("example-fastapi", "example-flask", "example-django")
    NAMES = ("model-server", "employment", *EXAMPLES)

    def __init__(self) -> None:
        digest = "sha256:" + "0" * 64
        super().__init__(
            {name: f"registry.lab:5000/slipway/{name}@{digest}" for name in self.NAMES}
        )


def test_the_folder_run_as_a_program_declares_what_is_rendered(tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text(json.dumps(AnyImages()))
    environment = os.environ | {
        "PYTHONPATH": str(paths.ROOT),
        "PULUMI_CONFIG": json.dumps(stack_files.program_config("models.lab")),
        "SLIPWAY_IMAGES_LOCK": str(lock),
    }
    done = subprocess.run(
        [sys.executable, "-c", HOST, paths.ROOT / "stacks"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    urns, system = json.loads(done.stdout.splitlines()[-1])
    assert urns == render("models.lab", images=AnyImages()).urns
    assert len(urns) > 5
    assert system, "stacks/platform.py hides the standard library's platform"
