"""The census data's own predictions, imported as a past period, against golden figures.

Each year goes through the monitor's command `backfill` into one store, and its figures
come from the command `figures`. The years are on three days of July, so that one
window holds them; labels come nine days later, in no order, some twice, some corrected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from examples.demo_drift import golden, monitor
from examples.demo_drift.census import MODEL, training
from slipway.images.models import downloads

HORIZON_DAYS = 8
LABEL_DAYS = 9
WINDOW = "7d"
REVISION = "census"
DECIMALS = 4


@dataclass(frozen=True)
class Files:
    """Of one year: predictions and labels, both parquet."""

    predictions: Path
    labels: Path


@dataclass(frozen=True)
class Sources:
    """The data set's files: rows with predictions, and labels by id."""

    reference: Path
    later: Path
    later_labels: Path

    @classmethod
    def fetch(cls) -> Sources:
        """Return the files, downloaded and unpacked at the first call."""
        package = training()
        config = package.Configuration.read()
        package.load(downloads())
        folder = training("data").wheel_path(downloads(), config.data).with_suffix("")
        data = config.data
        return cls(
            folder / data.reference, folder / data.later, folder / data.later_labels
        )


def write_files(sources: Sources, year: int, folder: Path, every: int = 1) -> Files:
    """Write one year's predictions of three days in July, and their labels.

    2 % of the labels come twice; half of these have another label before them. `every`:
    of so many rows one.
    """
    found = Files(folder / f"{year}.parquet", folder / f"{year}-labels.parquet")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            f"""
create view everything as
select * exclude (employed), employed from read_parquet('{sources.reference}')
union all by name
select later.*, labels.employed from read_parquet('{sources.later}') as later
join read_parquet('{sources.later_labels}') as labels using (id);
create table answers as
select *, make_timestamp(year, 7, 1 + id % 3, 12, 0, 0.0) as moment
from everything where year = {year} and id // 3 % {every} = 0;
copy (select * exclude (employed) from answers) to '{found.predictions}';
create table truth as
select id, employed, moment + interval {LABEL_DAYS} day as known from answers;
copy (
    select * from (
        select * from truth
        union all
        select id, case when id % 100 = 0 then employed else 1 - employed end,
               case when id % 100 = 0 then known else known - interval 1 hour end
        from truth where id % 50 = 0
    ) order by hash(id, employed, known)
) to '{found.labels}'
"""  # noqa: S608, names and numbers of our own
        )
    return found


def write_reference(sources: Sources, path: Path) -> None:
    """Write what the training writes of 2015, with the scores that the data carry."""
    package = training()
    configuration = package.Configuration.read()
    rows = package.load(downloads()).year(configuration.data.training_year)
    given: NDArray[np.float64] = duckdb.execute(
        "select predicted_probability from read_parquet(?) order by id",
        [str(sources.reference)],
    ).fetchnumpy()["predicted_probability"]
    statistics = training("reference").statistics(rows, given, configuration)
    path.write_text(json.dumps({"revision": REVISION} | statistics))


def write_config(folder: Path) -> Path:
    """Write the configuration of a monitor with store and reference in `folder`."""
    path = folder / "backfill.json"
    model = {
        "name": MODEL,
        "reference": str(folder / "reference.json"),
        "label_horizon_days": HORIZON_DAYS,
        "quality": [{"metric": "accuracy", "baseline": golden.QUALITY[2015][0]}],
        "fairness": {
            "attributes": ["SEX", "RAC1P"],
            "min_group": golden.MIN_GROUP_ROWS,
        },
    }
    content = {"store": str(folder / "store"), "clock": "event", "models": [model]}
    path.write_text(json.dumps(content))
    return path


def judge(config: Path, files: Files) -> dict[str, Any]:
    """Import files and return the figures of the newest days, of the only revision."""
    options = {
        "model": MODEL,
        "predictions": str(files.predictions),
        "labels": str(files.labels),
        "time": "moment",
        "decision": "prediction",
        "score": "predicted_probability",
        "label": "employed",
        "label-time": "known",
        "revision": REVISION,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    monitor.run(config, "backfill", *words)
    found = json.loads(monitor.run(config, "figures", MODEL, "--json"))
    (revision,) = found["revisions"]
    return dict(revision)


def run(
    folder: Path,
    tell: Callable[[str], None],
    years: Iterable[int] = tuple(golden.QUALITY),
    every: int = 1,
) -> dict[int, dict[str, Any]]:
    """Return the figures by year; `tell` hears of each step. Raises OperatorError."""
    tell("the rows of the census, with the predictions that the data set carries")
    sources = Sources.fetch()
    write_reference(sources, folder / "reference.json")
    config = write_config(folder)
    found = {}
    for year in sorted(years):
        tell(f"{year}: backfill and figures")
        found[year] = judge(config, write_files(sources, year, folder, every))
    tell(monitor.run(config, "verify").strip())
    return found


@dataclass(frozen=True)
class Line:
    """One figure beside its golden number."""

    year: int
    name: str
    found: str
    golden: str

    @property
    def is_equal(self) -> bool:
        return self.found == self.golden


def lines(found: Mapping[int, Mapping[str, Any]]) -> list[Line]:
    """Return all figures that there are golden ones of."""
    result = []
    for year, revision in found.items():
        window = revision["windows"][WINDOW]
        rows = f"{window['answered']:,} rows, {window['labelled']:,} labels"
        result.append(
            Line(
                year, "size", rows, "{0:,} rows, {0:,} labels".format(golden.ROWS[year])
            )
        )
        for name, value in zip(golden.METRICS, golden.QUALITY[year], strict=True):
            figure = window["metrics"][name]["value"]
            result.append(Line(year, name, _decimals(figure), _decimals(value)))
        result += _of_groups(year, revision)
        result += _of_drift(year, revision)
    return result


def _of_groups(year: int, revision: Mapping[str, Any]) -> list[Line]:
    result = []
    metrics = {
        (audit["attribute"], it["metric"]): it
        for audit in revision["fairness"]
        for it in audit["metrics"]
    }
    for (of, attribute, name), value in golden.FAIRNESS.items():
        if of != year:
            continue
        found = metrics[attribute, name]
        title = f"{attribute} {name.replace('_', ' ')}"
        figure = found["figure"] or {"value": None}
        result.append(Line(year, title, _decimals(figure["value"]), _decimals(value)))
        if verdict := golden.VERDICTS.get((year, attribute, name)):
            result.append(Line(year, f"{title}, verdict", found["verdict"], verdict))
    return result


def _of_drift(year: int, revision: Mapping[str, Any]) -> list[Line]:
    drift, concept = revision["drift"], revision["concept"]
    persistent = [it["feature"] for it in drift["features"] if it["persistent"]]
    result = [
        Line(year, "features with drift", ", ".join(persistent) or "none", "none"),
        Line(
            year,
            "concept drift",
            "drift" if concept and concept["detected"] else "none",
            "none",
        ),
    ]
    if year == max(golden.QUALITY):
        (ages,) = (it for it in drift["features"] if it["feature"] == golden.SILENT)
        significant = ages["adjusted_p"] < golden.ALPHA
        result.append(
            Line(
                year,
                f"{golden.SILENT}: p below {golden.ALPHA}, drift",
                f"{significant}, {ages['detected']}",
                "True, False",
            )
        )
    return result


def _decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.{DECIMALS}f}"


def table(found: Iterable[Line]) -> Table:
    result = Table(title="Backfill: the data set's own predictions and golden figures")
    for name in ("year", "figure"):
        result.add_column(name)
    for name in ("monitor", "golden"):
        result.add_column(name, justify="right")
    result.add_column("")
    year = 0
    for it in found:
        if year and it.year != year:
            result.add_section()
        mark = "[green]=[/green]" if it.is_equal else "[bold red]differs[/bold red]"
        result.add_row(
            str(it.year) if it.year != year else "", it.name, it.found, it.golden, mark
        )
        year = it.year
    return result


def wrong(found: Iterable[Line]) -> list[str]:
    return [
        f"backfill {it.year}, {it.name}: {it.found}, golden {it.golden}"
        for it in found
        if not it.is_equal
    ]
