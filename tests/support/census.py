"""Four years of the census as files of predictions and labels, and a store of them.

Data: employment in Massachusetts 2015 to 2018, ACS PUMS of the US Census Bureau (public
domain), with predictions and scores, as the wheel nannyml 0.13.1 carries it.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from model_monitor import __main__ as program

from models.employment.training import reference as training_reference
from models.employment.training.config import Configuration
from models.employment.training.data import fetch, load
from slipway.images.models import downloads

__all__ = ["HORIZON_DAYS", "fill", "load", "write_files", "write_reference"]
HORIZON_DAYS = 8


def write_files(folder: Path) -> tuple[Path, Path]:
    """Predictions of three days of each July, and their labels nine days later.

    That is after the horizon. 2 % of the labels come twice, half of these with another
    label before. They are in no order.
    """
    data = Configuration.read().data
    members = fetch(downloads(), data).with_suffix("")
    predictions, labels = folder / "predictions.parquet", folder / "labels.parquet"
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            f"""
create view first as select * from read_parquet('{members / data.reference}');
create view later as select * from read_parquet('{members / data.later}');
create view later_labels as
select * from read_parquet('{members / data.later_labels}');
create table answers as
select *, make_timestamp(year, 7, 1 + id % 3, 12, 0, 0.0) as moment
from (select * exclude (employed) from first union all by name select * from later);
copy answers to '{predictions}';
create table truth as
select id, employed, moment + interval 9 day as known
from (select id, employed from first union all select id, employed from later_labels)
join answers using (id);
copy (
    select * from (
        select * from truth
        union all
        select id, case when id % 100 = 0 then employed else 1 - employed end,
               case when id % 100 = 0 then known else known - interval 1 hour end
        from truth where id % 50 = 0
    ) order by hash(id, employed, known)
) to '{labels}'
"""
        )
    return predictions, labels


def write_reference(folder: Path) -> Path:
    """What the training writes, of the rows and the given scores of 2015."""
    configuration = Configuration.read()
    census = load(downloads()).year(2015)
    member = fetch(downloads(), configuration.data).with_suffix("")
    given = duckdb.execute(
        "select predicted_probability from read_parquet(?) order by id",
        [str(member / configuration.data.reference)],
    ).fetchnumpy()["predicted_probability"]
    path = folder / "reference.json"
    statistics = training_reference.statistics(census, given, configuration)
    path.write_text(json.dumps({"revision": "sha256:1"} | statistics))
    return path


def fill(folder: Path) -> Path:
    """Import everything into a store; the monitor's configuration file."""
    # First: it unpacks the data set.
    reference = write_reference(folder)
    predictions, labels = write_files(folder)
    path = folder / "monitor.json"
    path.write_text(
        json.dumps(
            {
                "store": str(folder / "store"),
                "host": "127.0.0.1",
                "port": 0,
                "clock": "event",
                "models": [
                    {
                        "name": "employment",
                        "reference": str(reference),
                        "label_horizon_days": HORIZON_DAYS,
                        "quality": [{"metric": "accuracy", "baseline": 0.83}],
                        "fairness": {"attributes": ["SEX", "RAC1P"], "min_group": 500},
                    }
                ],
            }
        )
    )
    options = {
        "model": "employment",
        "predictions": str(predictions),
        "labels": str(labels),
        "time": "moment",
        "decision": "prediction",
        "score": "predicted_probability",
        "label": "employed",
        "label-time": "known",
        "revision": "sha256:1",
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_MONITOR_CONFIG", str(path))
        assert program.main(["backfill", *words]) == 0
    return path
