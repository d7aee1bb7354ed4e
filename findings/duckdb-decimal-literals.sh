#!/usr/bin/env bash
# DuckDB 1.5 does not find a double by the digits that name it.
#
# Guess: a number that is written with the 16 or 17 digits of its shortest form (Python's
# repr, JSON, DuckDB's own output) is that double in SQL too: `x = 0.38655710476146987`
# finds the row. Bounds and bin edges are written into queries so.
# Behaviour: a literal with a point and without an exponent is a DECIMAL, and where it
# meets a double it becomes one by a division of rounded numbers. Of 10,000 random
# doubles, each compared with its own digits, 11 % are not found. All are found if the
# digits are a text that is cast, or end with e0, and by SQLite. DuckDB 2.0.1 finds all
# (https://github.com/duckdb/duckdb/issues/22837).
# Versions: duckdb 1.5.6 and 2.0.1, Python 3.11. Seen 2026-11-29:
#   duckdb 1.5.6 does not find 1092 by digits, 0 with e0, 0 as text; sqlite 0
#   duckdb 2.0.1 does not find 0 by digits, 0 with e0, 0 as text; sqlite 0
# What follows: write doubles into SQL as cast('...' as double), which Spark reads alike
# (images/model_monitor/model_monitor/counts/queries.py). Before, values that are an edge
# of a histogram could fall into the next bin.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/digits.py" <<'PY'
import random
import sqlite3

import duckdb

source = random.Random(1)
values = [source.random() for _ in range(10_000)]


def missing(connection, literal):
    """How many values a table does not have by their own digits."""
    connection.execute("create table t (x double)")
    connection.executemany("insert into t values (?)", [[value] for value in values])
    count = 0
    for start in range(0, len(values), 500):
        tests = ", ".join(
            f"sum(case when x = {literal(value)} then 1 else 0 end)"
            for value in values[start : start + 500]
        )
        rows = f"select * from t limit 500 offset {start}"
        found = connection.execute(f"select {tests} from ({rows}) as part").fetchone()
        count += sum(it == 0 for it in found)
    return count


print(
    f"duckdb {duckdb.__version__} does not find",
    missing(duckdb.connect(), repr),
    "by digits,",
    missing(duckdb.connect(), lambda value: f"{value!r}e0"),
    "with e0,",
    missing(duckdb.connect(), lambda value: f"cast('{value!r}' as double)"),
    "as text; sqlite",
    missing(sqlite3.connect(":memory:"), repr),
)
PY
seen=""
for version in 1.5.6 2.0.1; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
  seen+=$("$folder/$version/bin/python" "$folder/digits.py")$'\n'
done
wanted="duckdb 1.5.6 does not find 1092 by digits, 0 with e0, 0 as text; sqlite 0
duckdb 2.0.1 does not find 0 by digits, 0 with e0, 0 as text; sqlite 0
"
printf '%s' "$seen"
if [ "$seen" != "$wanted" ]; then
  echo "changed: it was" >&2
  printf '%s' "$wanted" >&2
  exit 1
fi
