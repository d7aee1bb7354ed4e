#!/usr/bin/env bash
# pydantic writes a number's bound as `ge` into a JSON Schema, which validators ignore.
#
# Guess: `Field(ge=8)` becomes `minimum: 8` in `model_json_schema()` for every integer
# field, so that whoever validates by the schema rejects 7 as the model does.
# Behaviour: with a BeforeValidator inside the annotation (a reusable type such as "an
# integer, but no boolean") and the bound outside, the schema has the keyword `ge`. JSON
# Schema ignores keywords that it does not know, so that 7 is valid. The model itself
# rejects it. A bound on length is written as `minItems` in the same place.
# Versions: pydantic 2.14.3, jsonschema 4.26.0, Python 3.11. Seen 2026-11-29:
#   bare: minimum, schema rejects 7, model rejects 7
#   validated: ge, schema accepts 7, model rejects 7
#   length: minItems
# What follows: slipway/stack_schema.py renames the four bounds, and a test holds that
# each keyword is one of JSON Schema's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pydantic==2.14.3 jsonschema==4.26.0
cat >"$folder/bounds.py" <<'PY'
from typing import Annotated

import jsonschema
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

Whole = Annotated[int, BeforeValidator(lambda value: value)]


class Bare(BaseModel):
    number: Annotated[int, Field(ge=8)]


class Validated(BaseModel):
    number: Annotated[Whole, Field(ge=8)]


class Length(BaseModel):
    number: Annotated[
        Annotated[list[int], BeforeValidator(lambda value: value)], Field(min_length=2)
    ]


def accepts(check):
    try:
        check()
    except (ValidationError, jsonschema.ValidationError):
        return "rejects"
    return "accepts"


for model in (Bare, Validated):
    schema = model.model_json_schema()
    (bound,) = schema["properties"]["number"].keys() - {"title", "type"}
    by_schema = accepts(lambda: jsonschema.validate({"number": 7}, schema))
    by_model = accepts(lambda: model(number=7))
    name = model.__name__.lower()
    print(f"{name}: {bound}, schema {by_schema} 7, model {by_model} 7")
(bound,) = Length.model_json_schema()["properties"]["number"].keys() - {
    "title",
    "type",
    "items",
}
print(f"length: {bound}")
PY
seen=$("$folder/venv/bin/python" "$folder/bounds.py")
wanted="bare: minimum, schema rejects 7, model rejects 7
validated: ge, schema accepts 7, model rejects 7
length: minItems"
echo "$seen"
if [ "$seen" != "$wanted" ]; then
  echo "changed: it was" >&2
  echo "$wanted" >&2
  exit 1
fi
