"""Wheel and source distribution, by `build` and Hatch in their own environment."""

from __future__ import annotations

from pathlib import Path

from toolchain import commands, own_venv, paths

REQUIREMENTS = paths.ROOT / "devtools" / "requirements-release.txt"
BUILD_SECONDS = 600.0


def build(sources: Path, out: Path, epoch: int, *, kinds: tuple[str, ...] = ()) -> None:
    """Writes the wheel and the source distribution of `sources` into `out`.

    `kinds`: only these, of `wheel` and `sdist`. The wheel is built from the source
    distribution, so that the former can be built from the latter.
    """
    commands.run(
        [str(own_venv.python(REQUIREMENTS)), "-m", "build", "--no-isolation"]
        + [f"--{kind}" for kind in kinds]
        + ["--outdir", str(out), str(sources)],
        environment={"SOURCE_DATE_EPOCH": str(epoch)},
        timeout_seconds=BUILD_SECONDS,
    )
