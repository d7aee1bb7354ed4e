"""Runs in an environment of CycloneDX's library: documents on stdin, errors on stdout.

In: name to the document's text. Out: name to the strict validator's error, or null.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found]
from cyclonedx.validation.json import (  # type: ignore[import-not-found]
    JsonStrictValidator,
)


def error(validator: Any, text: str) -> str | None:
    found = validator.validate_str(text)
    return None if found is None else str(found.data.message)


if __name__ == "__main__":
    strict = JsonStrictValidator(SchemaVersion.V1_7)
    given: dict[str, str] = json.load(sys.stdin)
    json.dump({name: error(strict, text) for name, text in given.items()}, sys.stdout)
