"""What a cycle of the model monitor costs: CPU seconds, memory, and how they grow.

    python -m benchmarks.monitor_cycle 1000000

Makes a log of that many predictions of one day (ten features) with labels for 30 % of
them, and one of a tenth of it. Each is shipped files and files of labels at first. One
process takes them in, another one counts and judges. Neither can import pandas or
pyarrow: the image has none of them, and DuckDB would load them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from toolchain import paths

FILE_ROWS = 40_000
"""Rows of one shipped file: about 16 MiB of text."""
LABELLED_ROWS = 1_000_000
"""Rows whose labels come in one file."""
NUMBERS, CATEGORIES = 5, 5
NOT_IN_IMAGE = ("pandas", "pyarrow")
AIM_CPU_SECONDS = 5.0
AIM_MEMORY_MIB = 512
AIM_ROWS = 1_000_000
AIM_FACTOR = 11.0
"""By which ten times the rows may cost more CPU."""


@dataclass(frozen=True)
class Cost:
    """Of one process: its start, and what it then did; the most memory of both."""

    start_cpu_seconds: float
    cpu_seconds: float
    memory_mib: float


def make(folder: Path, rows: int) -> None:
    """Write the store with what has landed, labels, reference and configuration."""
    landing = folder / "store" / "landing"
    landing.mkdir(parents=True)
    features = [f"'n{k}': round(random() * 100, 3)" for k in range(NUMBERS)]
    features += [
        f"'c{k}': cast(floor(random() * 12) as int)" for k in range(CATEGORIES)
    ]
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("select setseed(0.5)")
        for start in range(0, rows, FILE_ROWS):
            path = landing / f"predictions-host-2026-1-{start:09}.jsonl.gz"
            some = min(FILE_ROWS, rows - start)
            connection.execute(
                f"""
copy (
    select 'id-{start}-' || i as id, 0 as "row",
        strftime(timestamp '2026-11-01' + interval ((i * 2) % 86400) second,
            '%Y-%m-%dT%H:%M:%S.%fZ') as "time",
        'm' as model, '1' as version, 'sha256:{"a" * 64}' as revision,
        'stable' as arm, 200 as status, round(random() / 100, 6) as latency_seconds,
        {{{", ".join(features)}}} as features,
        cast(score > 0.5 as int) as decision, score
    from (select i, round(random(), 6) as score from range({some}) as t(i))
) to '{path}' (format json, compression gzip)
"""  # noqa: S608, numbers of our own
            )
        shipped = sorted(map(str, landing.iterdir()))
        portion = LABELLED_ROWS // FILE_ROWS
        for start in range(0, len(shipped), portion):
            connection.execute(
                f"""
copy (
    select id, cast(random() < score as int) as label,
        '2026-11-03T00:00:00.000000Z' as label_time, 'benchmark' as source
    from read_json({shipped[start : start + portion]}, format = 'newline_delimited',
        columns = {{id: 'varchar', score: 'double'}})
    where random() < 0.3
) to '{folder / f"labels-{start}.parquet"}' (format parquet)
"""  # noqa: S608, paths of our own
            )
    write_settings(folder)


def write_settings(folder: Path) -> None:
    edges = [float(edge) for edge in range(0, 105, 5)]
    number = {"histogram": {"edges": edges, "counts": [1000] * 20}}
    category = {"categories": {str(code): 1000 for code in range(12)}}
    features: dict[str, object] = {f"n{k}": number for k in range(NUMBERS)}
    features |= {f"c{k}": category for k in range(CATEGORIES)}
    reference = folder / "reference.json"
    reference.write_text(json.dumps({"rows": 20_000, "features": features}))
    model = {"name": "m", "reference": str(reference), "label_horizon_days": 1}
    settings = {"store": str(folder / "store"), "clock": "event", "models": [model]}
    (folder / "monitor.json").write_text(json.dumps(settings))


def run(folder: Path, step: str) -> Cost:
    """Do one step in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": f"{paths.ROOT}:{paths.ROOT / 'images' / 'model_monitor'}"
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.monitor_cycle", f"--{step}", str(folder)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=paths.ROOT,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def do(folder: Path, step: str) -> None:
    """Be that process; print what it cost."""
    for name in NOT_IN_IMAGE:
        sys.modules[name] = None  # type: ignore[assignment]
    from model_monitor import config
    from model_monitor.cycle import Cycle
    from model_monitor.labels import LabelJoin, import_labels
    from model_monitor.store import Store, ingest

    started = time.process_time()
    settings = config.read(folder / "monitor.json")
    with Store(settings.store).opened() as store:
        cycle = Cycle(settings, store)
        if step == "take-in":
            result = ingest(store, limits=cycle.limits())
            assert not result.quarantined, result.quarantined
            for path in sorted(folder.glob("labels-*.parquet")):
                import_labels(store, path, limits=cycle.limits())
            assert not LabelJoin(store).run().pending
        else:
            (revision,) = cycle.run().results["m"].revisions
            assert revision.windows["7d"].labelled
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cost = Cost(started, time.process_time() - started, memory)
    print(json.dumps(asdict(cost)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=AIM_ROWS)
    parser.add_argument("--take-in", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for step in ("take_in", "count"):
        if folder := getattr(options, step):
            do(folder, step.replace("_", "-"))
            return 0
    costs = {}
    for rows in (options.rows // 10, options.rows):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make(folder, rows)
            costs[rows] = [run(folder, step) for step in ("take-in", "count")]
    return report(costs)


def report(costs: dict[int, list[Cost]]) -> int:
    print(f"{'rows':>10} {'step':8}{'CPU s':>8}{'MiB':>6}{'start, CPU s':>14}")
    for rows, found in costs.items():
        for step, cost in zip(("take in", "count"), found, strict=True):
            print(
                f"{rows:>10,} {step:8}{cost.cpu_seconds:>8.2f}{cost.memory_mib:>6.0f}"
                f"{cost.start_cpu_seconds:>14.2f}"
            )
    few, many = costs.values()
    for step, small, large in zip(("take in", "count"), few, many, strict=True):
        factor = large.cpu_seconds / small.cpu_seconds
        more = large.memory_mib - small.memory_mib
        print(f"{step}: {factor:.1f} times the CPU, {more:+.0f} MiB")
    seconds = [sum(it.cpu_seconds for it in found) for found in (few, many)]
    share = max(1.0, max(costs) / AIM_ROWS)
    aims = {
        f"{AIM_CPU_SECONDS * share:g} CPU s for all": seconds[1]
        <= AIM_CPU_SECONDS * share,
        f"{AIM_CPU_SECONDS * share:g} CPU s to count": many[1].cpu_seconds
        <= AIM_CPU_SECONDS * share,
        f"{AIM_FACTOR:g} times the CPU": seconds[1] <= AIM_FACTOR * seconds[0],
        f"{AIM_MEMORY_MIB} MiB": max(it.memory_mib for it in many) <= AIM_MEMORY_MIB,
    }
    for aim, is_kept in aims.items():
        print(f"aim: {aim}: {'kept' if is_kept else 'MISSED'}")
    return 0 if all(aims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
