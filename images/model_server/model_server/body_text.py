"""The text of a large body, whose front is given up as it is read."""

from __future__ import annotations

import codecs
import re

import orjson

from model_server.errors import RequestError
from model_server.free_memory import give_back

BLOCK_BYTES = 32768
"""Read at once; objects for all numbers of so much text take 800 KiB."""
_CONTINUED = re.compile(rb"[\x80-\xbf]+")
_NO_UTF8 = b"\xff"


class BodyText:
    """Parts of a body by their position, and positions in orjson's errors."""

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = body
        self._offset = 0
        self._lines = 0
        self._line_start = 0
        self._continued = 0

    def part(self, start: int, stop: int) -> bytes:
        return bytes(self._body[start - self._offset : stop - self._offset])

    def find(self, byte: bytes, start: int, stop: int) -> int:
        """Return the place of the next such byte, or -1."""
        found = self._body.find(byte, start - self._offset, stop - self._offset)
        return found + self._offset if found >= 0 else found

    def give_up(self, place: int) -> None:
        """Forget what is before a place, if the body is one that can shrink."""
        body, size = self._body, place - self._offset
        if size <= 0 or not isinstance(body, bytearray):
            return
        self._lines, self._line_start = self._line(place)
        self._continued = place - self._character(place)
        self._offset = place
        before = body.__sizeof__()
        del body[:size]
        if body.__sizeof__() < before:
            give_back()

    def not_json(self, message: str, place: int) -> RequestError:
        """Return the error of a body that is not JSON at a place."""
        lines, start = self._line(place)
        character = self._character(place)
        return not_json(
            f"{message}: line {lines + 1} column {character - start + 1} "
            f"(char {character})"
        )

    def _character(self, place: int) -> int:
        """Return how many characters are before a place."""
        found = _CONTINUED.finditer(self._body, 0, place - self._offset)
        return place - self._continued - sum(len(match[0]) for match in found)

    def _line(self, place: int) -> tuple[int, int]:
        """Return how many lines end before a place, and the character after them."""
        size = place - self._offset
        if (end := self._body.rfind(b"\n", 0, size)) < 0:
            return self._lines, self._line_start
        lines = self._lines + self._body.count(b"\n", 0, size)
        return lines, self._character(end + 1 + self._offset)


def not_json(what: str) -> RequestError:
    return RequestError(400, "invalid_json", f"not JSON: {what}")


def check_utf8(body: bytes | bytearray) -> None:
    """Raise as orjson does where a body is not UTF-8, whatever else is wrong."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(body)
    try:
        for start in range(0, len(body), BLOCK_BYTES):
            decoder.decode(view[start : start + BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        _raise_no_utf8()
    finally:
        view.release()


def _raise_no_utf8() -> None:
    try:
        orjson.loads(_NO_UTF8)
    except orjson.JSONDecodeError as error:
        raise not_json(str(error)) from None
