"""Callers of an experiment: a keyed hash of the header that identifies them.

The gateway assigns a caller to a revision by the same header. The log has no value of
it, only a hash that groups the records of one caller.
"""

from __future__ import annotations

from collections.abc import Callable

from model_server.feature_codes import Hash
from model_server.http import Fields


def units(header: str, key: bytes) -> Callable[[Fields], str] | None:
    """Return what makes a request's unit of its headers; None if none is asked for.

    It is the hash that a hashed feature of the same text has. A request without the
    header, or with an empty one, has the unit "".
    """
    if not header:
        return None
    name, code = header.encode(), Hash(key)

    def unit(fields: Fields) -> str:
        value = fields.get(name)
        return code.of_text(value)[1:-1].decode() if value else ""

    return unit
