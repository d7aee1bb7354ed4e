"""Checks bills of materials against the schema that CycloneDX publishes.

A program of its own, for an environment that has CycloneDX's library and nothing of
ours. In: files as arguments, or on stdin JSON, name to the document's text. Out: JSON,
name to the strict validator's error, or null.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from rfc3986_validator import validate_rfc3986  # type: ignore[import-not-found]

REFERENCE = "iri-reference"
"""The format of every address in a document."""
REFERENCE_RULE = "URI_reference"


def error(validator: Any, text: str) -> str | None:
    found = validator.validate_str(text)
    return None if found is None else str(found.data.message)


def quick(check: Callable[[object], bool]) -> Callable[[object], bool]:
    """The check of a reference, left out where a faster one has accepted the text.

    A URI reference is an IRI reference (RFC 3987, 2.2). The grammar of the latter takes
    50 ms of CPU time for each, and a bill has hundreds.
    """

    def is_reference(value: object) -> bool:
        is_plain = isinstance(value, str) and value.isascii() and value.isprintable()
        return bool(is_plain and validate_rfc3986(value, REFERENCE_RULE)) or check(
            value
        )

    return is_reference


if __name__ == "__main__":
    checks = Draft7Validator.FORMAT_CHECKER.checkers
    whole, raised = checks[REFERENCE]
    checks[REFERENCE] = (quick(whole), raised)
    strict = JsonStrictValidator(SchemaVersion.V1_7)
    files = {name: Path(name).read_text() for name in sys.argv[1:]}
    given: dict[str, str] = files or json.load(sys.stdin)
    json.dump({name: error(strict, text) for name, text in given.items()}, sys.stdout)
