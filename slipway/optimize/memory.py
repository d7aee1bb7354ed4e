"""Memory of a process that serves a model: a separate process each time.

python -m slipway.optimize.memory FOLDER EVALUATOR
"""

from __future__ import annotations

import gc
import logging
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from model_server import free_memory
from model_server.config import read
from model_server.model import load_model
from model_server.preparation import prepare

from slipway.optimize import search_path
from toolchain.errors import OperatorError

TIMES = 3
STATUS = Path("/proc/self/status")


def resident_mib(folder: Path, evaluator: str) -> float:
    """Resident memory once the model was run in all sizes, the median of processes."""
    return statistics.median(_once(folder, evaluator) for _ in range(TIMES))


def _once(folder: Path, evaluator: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "slipway.optimize.memory", str(folder), evaluator],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search_path.folders())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OperatorError(
            f"the memory of {folder} could not be measured: its process ended "
            f"with {_exit_reason(done.returncode, done.stderr)}; try again with more "
            "free memory"
        )
    return float(done.stdout)


def _exit_reason(status: int, said: str) -> str:
    """A signal or an exit status, and the last line of the process."""
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    last = said.strip().splitlines()[-1:]
    return ": ".join([how, *last])


def main(folder: Path, evaluator: str) -> None:
    """Print MiB; the same steps as at a server's start."""
    logging.disable(logging.CRITICAL)
    config = read(os.environ)
    prepare(
        load_model(folder, config.threads or 1),
        max_batch_rows=config.max_batch_rows,
        max_request_rows=config.max_request_rows,
        evaluator=evaluator,
    )
    gc.collect()
    free_memory.give_back()  # or what was free at the start would count
    found = re.search(r"VmRSS:\s+(\d+) kB", STATUS.read_text())
    print(int(found[1]) / 1024 if found else "nan")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
