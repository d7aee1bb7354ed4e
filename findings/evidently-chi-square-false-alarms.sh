#!/usr/bin/env bash
# Evidently's chi-square test takes the reference for the truth: most columns "drift".
#
# Guess: with a threshold of .05 the default test of a categorical column (reference of at
# most 1,000 rows) calls some 5 of 100 columns drifted whose distribution has not changed.
# Behaviour: it calls 22 of columns with 3 categories, 49 with 10 and 86 with 30. It gives
# the counts of the reference to scipy's `chisquare` as expected frequencies, which are
# meant to be exact. They are counts of a sample, too, so that the statistic is twice as
# large as the test expects. The test of two samples (`chi2_contingency`) on the same
# rows calls 6, 5 and 6.
# Versions: evidently 0.7.23 with pandas 3.0.6 (with 3.1 it cannot be imported), numpy
# 2.4.6, scipy 1.17.1, Python 3.11. Seen 2026-11-29:
#   3 categories: evidently calls 22 of 100 columns drifted, scipy's two-sample test 6
#   10 categories: evidently calls 49 of 100 columns drifted, scipy's two-sample test 5
#   30 categories: evidently calls 86 of 100 columns drifted, scipy's two-sample test 6
# What follows: test two samples, and ask for a least effect beside the p-value
# (images/model_monitor/model_monitor/statistics/divergence.py); never take Evidently for
# an oracle of categories.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  evidently==0.7.23 pandas==3.0.6 numpy==2.4.6 scipy==1.17.1
cat >"$folder/columns.py" <<'PY'
import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from scipy import stats

COLUMNS, ROWS = 100, 1_000
chance = np.random.default_rng(1)


def sample(categories):
    """Rows of columns that all have the same, even distribution."""
    words = np.array([f"category {number:02}" for number in range(categories)])
    return pd.DataFrame(
        {f"c{it}": chance.choice(words, ROWS) for it in range(COLUMNS)}
    )


def by_evidently(reference, current):
    definition = DataDefinition(categorical_columns=list(reference))
    run = Report([DataDriftPreset()], include_tests=True).run(
        Dataset.from_pandas(current, definition),
        Dataset.from_pandas(reference, definition),
    )
    found = [
        metric
        for metric in run.dict()["metrics"]
        if metric["config"]["type"].endswith("ValueDrift")
    ]
    assert len(found) == COLUMNS
    assert {it["config"]["method"] for it in found} == {"chi-square p_value"}
    assert {it["config"]["threshold"] for it in found} == {0.05}
    return sum(it["value"] < 0.05 for it in found)


def by_scipy(reference, current):
    tables = [
        pd.DataFrame({"a": reference[it].value_counts(), "b": current[it].value_counts()})
        for it in reference
    ]
    return sum(stats.chi2_contingency(table).pvalue < 0.05 for table in tables)


for categories in (3, 10, 30):
    pair = sample(categories), sample(categories)
    print(
        f"{categories} categories: evidently calls {by_evidently(*pair)} of {COLUMNS} "
        f"columns drifted, scipy's two-sample test {by_scipy(*pair)}"
    )
PY
seen=$(DO_NOT_TRACK=1 "$folder/venv/bin/python" -W ignore "$folder/columns.py")
wanted="3 categories: evidently calls 22 of 100 columns drifted, scipy's two-sample test 6
10 categories: evidently calls 49 of 100 columns drifted, scipy's two-sample test 5
30 categories: evidently calls 86 of 100 columns drifted, scipy's two-sample test 6"
echo "$seen"
if [ "$seen" != "$wanted" ]; then
  echo "changed: it was" >&2
  echo "$wanted" >&2
  exit 1
fi
