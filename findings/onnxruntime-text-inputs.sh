#!/usr/bin/env bash
# onnxruntime makes text of whatever stands in a string input, without a word.
#
# Guess: `session.run` refuses bytes, None and numbers where a graph declares a string
# tensor, as it refuses floats where it declares integers, or decodes bytes as UTF-8.
# Behaviour: each element becomes Python's str() of it. b"abc" arrives as the seven
# characters b'abc', None as None, 1.0 as 1.0; the model answers, with status OK, for an
# input that nobody sent.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11. Seen 2026-11-28:
#   ["b'abc'", 'None', '1.0', 'abc']
# What follows: check the type of each element before a run
# (images/model_server/model_server/texts.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

graph = helper.make_graph(
    [helper.make_node("Identity", ["text"], ["same"])],
    "same",
    [helper.make_tensor_value_info("text", TensorProto.STRING, [None])],
    [helper.make_tensor_value_info("same", TensorProto.STRING, [None])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
model.ir_version = 10
session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
)
given = np.array([b"abc", None, 1.0, "abc"], dtype=object)
print(session.run(None, {"text": given})[0].tolist())
PY
)
wanted="[\"b'abc'\", 'None', '1.0', 'abc']"
echo "$seen"
if [ "$seen" != "$wanted" ]; then
  echo "changed: it was $wanted" >&2
  exit 1
fi
