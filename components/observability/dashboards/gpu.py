"""Dashboard of GPUs: use, memory, heat and failures, as NVIDIA's DCGM exporter has it.

The series are those that components/platform/gpu/dcgm_exporter.py asks it for; the
last row's are there with `gpu.dcgm_exporter.profiling` alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.observability.dashboards.board import (
    RATE,
    Board,
    Limit,
    Panel,
    Row,
    Unit,
    Variable,
    one,
)
from components.observability.platform_alerts import FATAL_XIDS, XID_SEEN

NAME = "dcgm-exporter"
WHERE = 'node=~"$node"'
GPU = "{{node}} GPU {{gpu}} {{gpu_pod}}"
NOT_PROFILED = "profiling is off, or these GPUs cannot"
MEBIBYTE, MEGAHERTZ = 1024 * 1024, 1_000_000


def board() -> Board:
    """The dashboard."""
    nodes = f'up{{app="{NAME}"}}'
    return Board(
        "gpu",
        "GPUs",
        "Use, memory, power, heat and failures of every GPU, and whose pod has it.",
        (Variable("node", "Node", nodes, "node", several=True),),
        (
            Row("Use", tuple(_use())),
            Row("Power and heat", tuple(_heat())),
            Row("Failures", tuple(_failures())),
            Row("Profiling", tuple(_profiling())),
        ),
    )


def _use() -> Iterator[Panel]:
    used, free = (f"DCGM_FI_DEV_FB_{what}{{{WHERE}}}" for what in ("USED", "FREE"))
    percent = f"DCGM_FI_DEV_GPU_UTIL{{{WHERE}}} / 100"
    yield Panel(
        "GPUs",
        "GPUs that the exporter sees on each node.",
        "short",
        one(f"count by (node) (DCGM_FI_DEV_GPU_UTIL{{{WHERE}}})", "{{node}}"),
        kind="number",
        width=24,
    )
    yield Panel(
        "Busy",
        "Share of time in which something ran on the GPU, however little of it.",
        "percentunit",
        one(percent, GPU),
        most=1,
    )
    yield Panel(
        "Memory in use",
        "Share of the GPU's memory that is taken; servers may take nearly all of it.",
        "percentunit",
        one(f"{used} / ({used} + {free})", GPU),
        most=1,
    )
    yield Panel(
        "Memory taken",
        "Memory of the GPU that is taken.",
        "bytes",
        one(f"{used} * {MEBIBYTE}", GPU),
    )
    yield Panel(
        "Memory traffic",
        "Share of time in which the GPU's memory was read or written.",
        "percentunit",
        one(f"DCGM_FI_DEV_MEM_COPY_UTIL{{{WHERE}}} / 100", GPU),
        most=1,
    )
    yield Panel(
        "Idle GPUs",
        "GPUs that a pod has and that did nothing for 15 minutes.",
        "short",
        one(
            "count by (node) (max_over_time(DCGM_FI_DEV_GPU_UTIL"
            f'{{{WHERE},gpu_pod!=""}}[15m]) == 0)',
            "{{node}}",
        ),
        empty="none",
    )
    yield Panel(
        "NVLink traffic",
        "Bytes a second between the GPUs of a node.",
        "bytes",
        one(f"rate(DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL{{{WHERE}}}[{RATE}])", GPU),
        empty="these GPUs have no NVLink",
    )


def _heat() -> Iterator[Panel]:
    metrics: tuple[tuple[str, str, Unit, str, str], ...] = (
        ("Temperature", "Of the GPU.", "celsius", "DCGM_FI_DEV_GPU_TEMP", ""),
        (
            "Temperature of the memory",
            "Of the memory.",
            "celsius",
            "DCGM_FI_DEV_MEMORY_TEMP",
            "these GPUs do not measure it",
        ),
        ("Power", "Power that the GPU draws.", "watt", "DCGM_FI_DEV_POWER_USAGE", ""),
    )
    for title, description, unit, series, empty in metrics:
        expr = f"{series}{{{WHERE}}}"
        yield Panel(title, description, unit, one(expr, GPU), empty=empty)
    yield Panel(
        "Clock",
        "Clock of the multiprocessors.",
        "hertz",
        one(f"DCGM_FI_DEV_SM_CLOCK{{{WHERE}}} * {MEGAHERTZ}", GPU),
    )
    yield Panel(
        "Why clocks are low",
        "Bits of the reasons, as NVML numbers them: 1 idle, 4 power limit, 8 slowdown "
        "by hardware, 32 and 64 heat.",
        "none",
        one(f"DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{{{WHERE}}}", GPU),
    )


def _failures() -> Iterator[Panel]:
    fatal = "|".join(map(str, FATAL_XIDS))
    yield Panel(
        "Fatal XIDs",
        "Errors after which a GPU is reset or replaced, while the exporter tells of "
        "them.",
        "none",
        one(f'{XID_SEEN}{{{WHERE},xid=~"{fatal}"}}', "{{node}} GPU {{gpu}} {{xid}}"),
        limit=Limit("GpuFailed", {"": 1}),
        empty="none",
    )
    yield Panel(
        "All XIDs",
        "Errors by number, those of the programs that met them too.",
        "none",
        one(f'{XID_SEEN}{{{WHERE},xid!="0"}}', "{{node}} GPU {{gpu}} {{xid}}"),
        empty="none",
    )
    yield Panel(
        "Remapping failed",
        "1: memory of the GPU is broken and can be remapped no more.",
        "bool_yes_no",
        one(f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{WHERE}}}", GPU),
        kind="states",
        limit=Limit("GpuFailed", {"": 1}),
        empty="these GPUs do not tell",
    )
    yield Panel(
        "Uncorrectable memory errors",
        "Errors since the driver was loaded, and rows remapped for them.",
        "short",
        (
            *one(f"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL{{{WHERE}}}", f"{GPU} errors"),
            *one(f"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{{{WHERE}}}", f"{GPU} rows"),
        ),
        empty="these GPUs do not count them",
    )


def _profiling() -> Iterator[Panel]:
    metrics = (
        ("Engine", "Share of time with work.", "GR_ENGINE_ACTIVE"),
        ("Occupancy", "Share of the warps that are resident.", "SM_OCCUPANCY"),
        ("Tensor cores", "Share of time of the tensor cores.", "PIPE_TENSOR_ACTIVE"),
        ("Memory", "Share of time of the memory's interface.", "DRAM_ACTIVE"),
    )
    for title, description, field in metrics:
        expr = f"DCGM_FI_PROF_{field}{{{WHERE}}}"
        yield Panel(
            title,
            description,
            "percentunit",
            one(expr, GPU),
            width=6,
            most=1,
            empty=NOT_PROFILED,
        )
