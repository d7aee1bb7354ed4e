#!/usr/bin/env bash
# prometheus_client's parser gives a counter's samples the ending _total, which its page
# does not have.
#
# Guess: the parser of the text format 0.0.4 returns samples by the names on the page.
# Behaviour: a family of type counter is turned into OpenMetrics' form. If its name does
# not end in _total, each sample gets that ending, and nothing says that it was not
# there. A query by the returned name finds nothing in Prometheus, which keeps the
# page's. Triton and TensorFlow Serving have such counters. The family's own name is the
# same for `a` and for `a_total`.
# Versions: prometheus_client 0.26.0, Python 3.11. Seen 2026-11-30:
#   a_total: family a, sample a_total
#   b: family b, sample b_total
# What follows: tests/support/promtool.py takes the ending off where the page's TYPE line
# has the name without it. What else reads pages asks for names with _total alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  prometheus_client==0.26.0
cat >"$folder/counters.py" <<'PY'
from prometheus_client.parser import text_string_to_metric_families

PAGE = """\
# TYPE a_total counter
a_total 1
# TYPE b counter
b 2
"""
names = ("a_total", "b")
for name, family in zip(names, text_string_to_metric_families(PAGE), strict=True):
    (sample,) = family.samples
    print(f"{name}: family {family.name}, sample {sample.name}")
PY
seen=$("$folder/venv/bin/python" "$folder/counters.py")
wanted="a_total: family a, sample a_total
b: family b, sample b_total"
echo "$seen"
if [ "$seen" != "$wanted" ]; then
  echo "changed: it was" >&2
  echo "$wanted" >&2
  exit 1
fi
