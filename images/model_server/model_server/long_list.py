"""A long list of numbers in a large body, read block by block.

A block ends at a comma, at any depth of nested lists. It is completed by the brackets
that are open before and after it, and then orjson reads it: so what a number is, and
what is wrong with it, is the same as of small bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from model_server.body_text import BLOCK_BYTES, BodyText
from model_server.errors import RequestError

STUB_VALUES = 100
"""An error message shows fewer of a list that stands where no list may stand."""
_SPACE = b" \t\r\n"
# As deep as the values of a request are. Objects, because a bracket too many would
# close another list, and must be an error.
_BEFORE, _AFTER = b'{"":{"":{"":', b"}}}"


@dataclass(frozen=True, slots=True)
class Block:
    """Some values of a list, nested as they are.

    `depth` and `depth_after` count the lists that are open where it begins and ends: 1
    for the list itself. The first value of each of those was begun in earlier blocks if
    it is a list that was open.
    """

    values: list[Any]
    depth: int
    depth_after: int
    has_booleans: bool


class LongList:
    """The list from `start` to `stop` of a body."""

    def __init__(
        self,
        text: BodyText,
        start: int,
        stop: int,
        *,
        before: Callable[[], bytes],
        give_up: Callable[[int], None],
    ) -> None:
        """`before` returns what a JSON document has before the list, shortened.

        `give_up` gets the position up to which the text is read.
        """
        self.start = start
        self.is_begun = False
        self._text, self._end = text, stop - 1
        self._before, self._give_up = before, give_up
        self._error: RequestError | None = None

    @property
    def is_nested(self) -> bool:
        """Return whether its first value is a list."""
        place = self.start + 1
        while place < self._end:
            part = self._text.part(place, min(place + BLOCK_BYTES, self._end))
            if rest := part.lstrip(_SPACE):
                return rest.startswith(b"[")
            place += len(part)
        return False

    @property
    def text_bytes(self) -> int:
        return self._end - self.start

    def blocks(self) -> Iterator[Block]:
        """Yield all of it, once; raise where it is not JSON."""
        self.is_begun = True
        try:
            for start, block in self._blocks():
                yield block
                self._give_up(start)
        except RequestError as error:
            self._error = error
            raise

    def check(self) -> None:
        """Raise where it is not JSON, unless all of it has been read."""
        if self._error is not None:
            raise self._error
        if not self.is_begun:
            for _ in self.blocks():
                pass

    def stub(self) -> list[Any]:
        """Return as much of it as an error message can show."""
        found: list[Any] = []
        try:
            for _, block in self._blocks():
                found += block.values if block.depth == 1 else block.values[1:]
                if len(found) >= STUB_VALUES:
                    break
        except RequestError:  # `check` tells it
            return found
        has_lists = self._text.find(b"[", self.start + 1, self._end) >= 0
        return [*found, []] if has_lists else found

    def _blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield blocks and where each begins."""
        earlier = place = self.start + 1
        depth_earlier = depth = 1
        while True:
            comma = self._text.find(
                b",", min(place + BLOCK_BYTES, self._end), self._end
            )
            stop = self._end if comma < 0 else comma
            part = self._text.part(place, stop)
            after = depth + part.count(b"[") - part.count(b"]")
            block = None
            if _is_whole(part, is_first=place == self.start + 1, is_last=comma < 0):
                block = _read(part, depth, after)
            if block is None:
                raise self._fault(earlier, depth_earlier, stop)
            yield place, block
            if comma < 0:
                return
            earlier, depth_earlier = place, depth
            place, depth = stop + 1, after

    def _fault(self, start: int, depth: int, stop: int) -> RequestError:
        """Return what orjson says of a part that is not JSON where it stands."""
        before = self._before()
        part = self._text.part(start, min(stop + BLOCK_BYTES, self._end + 1))
        document = before + b"[" * depth + part
        try:
            orjson.loads(document)
        except orjson.JSONDecodeError as error:
            place = bytes_before(document, error.pos) - len(before) - depth
            return self._text.not_json(error.msg, start + place)
        # It stands less deep here than `_read` has it.
        return self._text.not_json("depth limit exceeded", start)


def bytes_before(document: bytes, character: int) -> int:
    """Return the place of a character in bytes."""
    return len(document.decode()[:character].encode())


def _is_whole(part: bytes, *, is_first: bool, is_last: bool) -> bool:
    """Return whether a value ends where the part is cut off, and another begins."""
    return (is_first or part.lstrip(_SPACE)[:1] not in {b"", b",", b"]"}) and (
        is_last or part.rstrip(_SPACE)[-1:] not in {b"", b",", b"["}
    )


def _read(part: bytes, depth: int, after: int) -> Block | None:
    """Return a part as a block, or None where it is not JSON."""
    if after < 1:
        return None
    whole = b"%b%b%b%b%b" % (_BEFORE, b"[" * depth, part, b"]" * after, _AFTER)
    try:
        values = orjson.loads(whole)[""][""][""]
    except orjson.JSONDecodeError:
        return None
    has_booleans = b"true" in part or b"false" in part
    return Block(values, depth, after, has_booleans)
