"""Runs SQL on a local Spark: a JSON object a line is asked, one a line answered.

    {"open": NAME, "files": [PATH, ...]}   make a relation of parquet files
    {"keep": NAME, "sql": TEXT}            make a relation of a query's rows
    {"sql": TEXT}                          answer {"rows": [[...], ...]}

The answer of the first two is {"columns": [...]}, of a failure {"error": TEXT}. Runs in
the environment of tests/monitor/requirements-spark.txt, where nothing of ours can be
had. A relation of files also has `file_name`, `file_row` and `file_date`.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.memory": "1g",
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    # Otherwise a version 1.10 in a folder's name is read as 1.1.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}


def session(folder: str) -> SparkSession:
    builder = SparkSession.builder.master("local[1]").appName("counts")
    places = {"spark.local.dir": folder, "spark.sql.warehouse.dir": f"{folder}/tables"}
    for key, value in (SETTINGS | places).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def answer(spark: SparkSession, asked: dict[str, Any]) -> dict[str, Any]:
    if "open" in asked:
        frame = spark.read.option("mergeSchema", "true").parquet(*asked["files"])
        frame = frame.select(
            "*",
            f.col("_metadata.file_name").alias("file_name"),
            f.col("_metadata.row_index").alias("file_row"),
            f.regexp_extract("_metadata.file_path", "/date=([^/]+)/", 1).alias(
                "file_date"
            ),
        )
        frame.createOrReplaceTempView(asked["open"])
        return {"columns": frame.columns}
    frame = spark.sql(asked["sql"])
    if "keep" in asked:
        frame.cache().createOrReplaceTempView(asked["keep"])
        return {"columns": frame.columns}
    return {"rows": [list(row) for row in frame.collect()]}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spark = session(folder)
        for line in sys.stdin:
            try:
                found = answer(spark, json.loads(line))
            except Exception as error:  # noqa: BLE001, the asker is told of any
                found = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(found, default=_moment), flush=True)
        spark.stop()


def _moment(value: object) -> dict[str, str]:
    assert isinstance(value, dt.datetime), value
    return {"time": value.isoformat()}


main()
