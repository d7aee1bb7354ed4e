"""Trains the model and writes its folder.

python -m models.employment.training --data DOWNLOADS --out FOLDER
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from models.employment.training import classifier, model_folder, onnx_export, reference
from models.employment.training.config import Configuration
from models.employment.training.data import DataError, load


def train(data: Path, out: Path) -> None:
    """All steps, each with its seconds on standard output."""
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:5.1f} s  {text}", flush=True)

    config = Configuration.read()
    census = load(data)
    say(f"{len(census.labels):,} rows read")
    first = census.year(config.data.training_year)
    model = classifier.fit(first, config.classifier)
    say(f"classifier fitted on {len(first.labels):,} rows of {first.years[0]}")
    onnx = onnx_export.export(model, len(config.features))
    difference = onnx_export.check(onnx, model, census.features)
    say(
        f"ONNX ({len(onnx):,} bytes) and scikit-learn agree on all rows "
        f"(largest difference {difference:.1e})"
    )
    scores = model.predict_proba(census.features)[:, 1]
    metrics = {}
    for year in np.unique(census.years):
        mask = census.years == year
        metrics[int(year)] = classifier.evaluate(scores[mask], census.labels[mask])
    card = model_folder.describe(config, onnx, metrics)
    statistics = reference.statistics(
        first, scores[census.years == config.data.training_year], config
    )
    examples = model_folder.examples(model, first.features)
    model_folder.write(out, onnx, card, statistics, examples)
    model_folder.keep_sklearn(out, model)
    say(f"revision {card['revision']}")
    columns = list(next(iter(metrics.values())).rounded())
    print("year " + "".join(f"{name:>11}" for name in columns))
    for year, found in metrics.items():
        print(f"{year} " + "".join(f"{v:>11}" for v in found.rounded().values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of downloads")
    parser.add_argument("--out", type=Path, required=True, help="the model folder")
    options = parser.parse_args()
    try:
        train(options.data, options.out)
    except (DataError, onnx_export.DisagreementError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
