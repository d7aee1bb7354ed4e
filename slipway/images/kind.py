"""Loads images into the nodes of a kind cluster, which then need no registry."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from components.images import LOADED
from slipway.images import feasible, lock, oci_archive, records
from slipway.images.builders import running
from slipway.images.builds import OF_THE_LAB, Means, build
from slipway.images.errors import ImageError, Report, silent
from slipway.images.table import Image, select
from toolchain.locks import locked


def load(
    cluster: str,
    names: Iterable[str] | None = None,
    report: Report = silent,
    means: Means = OF_THE_LAB,
) -> dict[str, str]:
    """Loads images into a kind cluster, writes images.lock; references of the loaded.

    Images that are not built or have changed are built first. What the nodes hold
    already is loaded again, as kind cannot say what that is. Raises ImageError.
    """
    _require(cluster)
    chosen = select(names, lab=False)
    feasible.check(chosen, means)
    build([image.name for image in chosen], report, means)
    references = lock.read()
    with locked(means.lock):
        for image in chosen:
            references[image.name] = _load(image, cluster, means, report)
        lock.write(references)
    return {image.name: references[image.name] for image in chosen}


def _require(cluster: str) -> None:
    """Raises ImageError if there is no kind, or no cluster of that name."""
    known = running.output(["kind", "get", "clusters"], "kind").split()
    if cluster not in known:
        raise ImageError(
            f"there is no kind cluster {cluster!r}; `kind get clusters` shows "
            f"{', '.join(known) or 'none'}; `kind create cluster --name {cluster}` "
            "creates one"
        )


def _load(image: Image, cluster: str, means: Means, report: Report) -> str:
    """Loads one image; the reference that the nodes know it by."""
    start = time.monotonic()
    report(image.name, f"loading into {cluster}")
    record = records.read(means.builder)[image.name]
    with tempfile.TemporaryDirectory(prefix="slipway-load-") as work:
        saved, archive = Path(work) / "saved.tar", Path(work) / "image.tar"
        means.builder.save(record.id, saved)
        reference = oci_archive.convert(saved, archive, f"{LOADED}/{image.repository}")
        saved.unlink()
        command = ["kind", "load", "image-archive", str(archive), "--name", cluster]
        running.run(command, image.name)
    report(image.name, f"loaded in {time.monotonic() - start:.1f} s")
    return reference
