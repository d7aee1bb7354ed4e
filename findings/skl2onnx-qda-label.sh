#!/usr/bin/env bash
# skl2onnx gives the labels of quadratic discriminant analysis in one row, not one a row.
#
# Guess: the label of a converted classifier has the shape [rows], as for every other
# classifier that skl2onnx converts, and as its own declaration of the output says.
# Behaviour: the conversion and the run succeed; for n rows the label has the shape
# [1, n]. A server that cuts a batch by its first dimension would hand all labels to the
# first caller. The probabilities are [n, classes], and right.
# Versions: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0,
# protobuf 6.33.6, Python 3.11. Seen 2026-11-28:
#   label (1, 5) probabilities (5, 2), logistic regression's label (5,)
# What follows: compare the shapes of outputs with the rows given before an output is cut
# (images/model_server/model_server/warm_up.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 protobuf==6.33.6
seen=$("$folder/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

rows = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
labels = (rows[:, 0] > 0).astype(np.int64)


def shapes(classifier):
    classifier.fit(rows, labels)
    graph = to_onnx(
        classifier, rows[:1], options={id(classifier): {"zipmap": False}}
    )
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [output.shape for output in session.run(None, {"X": rows[:5]})]


label, probabilities = shapes(QuadraticDiscriminantAnalysis())
usual, _ = shapes(LogisticRegression())
print(
    f"label {label} probabilities {probabilities}, logistic regression's label {usual}"
)
PY
)
wanted="label (1, 5) probabilities (5, 2), logistic regression's label (5,)"
echo "$seen"
if [ "$seen" != "$wanted" ]; then
  echo "changed: it was $wanted" >&2
  exit 1
fi
