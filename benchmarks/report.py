"""The tables of the comparison and whether its aims are kept."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from benchmarks.contender import Contender, Round

FASTAPI_TIMES = 4.0
RIVAL_TIMES = 10.0
FLOOR_TIMES = 2.2
"""Aims for our JSON; the last is the most CPU time as a multiple of the floor."""


def report(contenders: Sequence[Contender], raw: float, connections: int) -> int:
    """Print it all; return 1 if an aim is missed.

    `raw` is how many bare onnxruntime calls one CPU second has room for.
    """
    ours = contenders[0]
    _table(f"{connections} connections", ours, contenders, lambda it: it.many)
    _table("1 connection", ours, contenders, lambda it: it.single)
    static = contenders[-1]
    floor = _median(static.many, _cpu) + 1 / raw
    times = _median(ours.many, _cpu) / floor
    print(
        f"\nfloor: static answer and a bare onnxruntime call, {floor * 1e6:.0f} us of "
        f"CPU; ours takes {times:.2f} times that, with JSON, counters, limits and log"
    )
    by_name = {it.name: it for it in contenders}
    aims = [(f"CPU at most {FLOOR_TIMES} times the floor", times, times <= FLOOR_TIMES)]
    for name, least in (
        ("FastAPI", FASTAPI_TIMES),
        ("MLServer", RIVAL_TIMES),
        ("KServe SDK", RIVAL_TIMES),
    ):
        if name in by_name:
            ratio = _ratio(by_name[name].many, ours.many, _cpu)
            aims.append(
                (
                    f"at least {least:g} times {name}'s requests/s/core",
                    ratio,
                    ratio >= least,
                )
            )
    if rival := by_name.get("FastAPI"):
        wait = _ratio(ours.single, rival.single, lambda it: it.load.p50)
        aims.append(("p50 at one connection at most FastAPI's", wait, wait <= 1))
        memory = ours.memory_bytes / rival.memory_bytes
        aims.append(("memory at most FastAPI's", memory, memory <= 1))
    for meaning, value, is_kept in aims:
        print(f"aim: {meaning}: {value:.2f} {'kept' if is_kept else 'MISSED'}")
    return 0 if all(is_kept for _, _, is_kept in aims) else 1


def _table(
    title: str,
    ours: Contender,
    contenders: Sequence[Contender],
    rounds: Callable[[Contender], list[Round]],
) -> None:
    print(
        f"\n{title:16}{'CPU us/request':>15}{'times ours (spread)':>23}"
        f"{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'MiB':>6}"
    )
    for it in contenders:
        found = rounds(it)
        ratios = [
            _cpu(theirs) / _cpu(own)
            for theirs, own in zip(found, rounds(ours), strict=True)
        ]
        spread = (
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        print(
            f"{it.name:16}{_median(found, _cpu) * 1e6:>15.0f}{spread:>23}"
            f"{_median(found, lambda it: it.load.requests / it.load.seconds):>12.0f}"
            f"{_median(found, lambda it: it.load.p50) * 1e3:>9.2f}"
            f"{_median(found, lambda it: it.load.p99) * 1e3:>9.2f}"
            f"{it.memory_bytes / 2**20:>6.0f}"
        )


def _cpu(it: Round) -> float:
    return it.cpu_per_request


def _median(rounds: Sequence[Round], value: Callable[[Round], float]) -> float:
    return statistics.median(value(it) for it in rounds)


def _ratio(
    above: Sequence[Round], below: Sequence[Round], value: Callable[[Round], float]
) -> float:
    return statistics.median(
        value(a) / value(b) for a, b in zip(above, below, strict=True)
    )
