#!/usr/bin/env bash
# cyclonedx-python-lib renames a component whose bom-ref another one has, at random.
#
# Guess: a bom-ref that the program sets is written as it was set; two components with the
# same one are refused, or both are written. An image and the program in it often have the
# same name and version, and so the same reference.
# Behaviour: no error and no warning about it. One of the two gets
# `BomRef.<random>.<random>`, another one each time it is written. The document stays
# valid by the schema, its bytes and its digest change from run to run, and whoever refers
# to the component by the reference that was set finds the other one.
# Versions: cyclonedx-python-lib 11.12.0, Python 3.11. Seen 2026-11-30:
#   different references: subject resolver@1, part program:resolver@1, same again: True
#   same reference: subject resolver@1, part BomRef.*.*, same again: False
# What follows: references say what kind of thing a component is (slipway/sbom.py), and a
# test compares each image's subject with its parts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/references.py" <<'PY'
import json
import re
import warnings

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6

warnings.simplefilter("ignore")  # one about missing dependencies


def references(part):
    """The references of the subject and of its only part, as they are written."""
    bom = Bom()
    bom.metadata.component = Component(
        name="resolver", version="1", type=ComponentType.CONTAINER, bom_ref="resolver@1"
    )
    bom.components.add(
        Component(
            name="resolver", version="1", type=ComponentType.APPLICATION, bom_ref=part
        )
    )
    data = json.loads(JsonV1Dot6(bom).output_as_string())
    return data["metadata"]["component"]["bom-ref"], data["components"][0]["bom-ref"]


for what, part in (
    ("different references", "program:resolver@1"),
    ("same reference", "resolver@1"),
):
    first, again = references(part), references(part)
    shown = [re.sub(r"^BomRef\.\d+\.\d+$", "BomRef.*.*", it) for it in first]
    same = first == again
    print(f"{what}: subject {shown[0]}, part {shown[1]}, same again: {same}")
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cyclonedx-python-lib==11.12.0
seen=$("$folder/venv/bin/python" "$folder/references.py")
wanted="different references: subject resolver@1, part program:resolver@1, same again: True
same reference: subject resolver@1, part BomRef.*.*, same again: False"
printf '%s\n' "$seen"
if [ "$seen" != "$wanted" ]; then
  printf 'changed: it was\n%s\n' "$wanted" >&2
  exit 1
fi
