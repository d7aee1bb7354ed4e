"""JSON bodies of many rows, read without an object for each of their numbers at once.

orjson makes 24 bytes of a number of three characters, besides a place in a list and in
its own tree. So a large body is taken apart first: its lists of numbers become short
texts, which leaves a small document for orjson, and a tensor reads its list block by
block (long_list.py). What is taken, and what is said of the rest, is the same as of
small bodies; a test compares the two.
"""

from __future__ import annotations

import bisect
import functools
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from model_server.body_text import BodyText, check_utf8
from model_server.errors import invalid
from model_server.long_list import LongList, bytes_before

LARGE_BYTES = 65536
"""Bodies up to here are read at once: the objects of one take up to 2 MiB."""
LONG = 256
"""Lists and white space of fewer bytes stay in the document."""
DOCUMENT_BYTES = 65536
"""The most that may be left of a large body: names, keys and parameters, ..."""
TENSOR_BYTES = 1024
"""... and as much again for each of the model's tensors."""

_STRUCTURE = re.compile(rb"[{}:]")
_SPACE = re.compile(rb"[ \t\r\n]*")
_LONG_SPACE = re.compile(rb"[ \t\r\n]{%d,}" % LONG)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_MARK = secrets.token_hex(16)
"""Begins the texts that stand for lists; no client knows it."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """A part of the body, `start` to `stop`, and where the document goes on."""

    start: int
    stop: int
    after: int


class LargeBody:
    """A body that has been taken apart."""

    def __init__(self, body: bytes | bytearray, tensors: int) -> None:
        """Take `body` apart; a bytearray is emptied while its lists are read.

        `tensors` are those that a request of the model may name. Raises `RequestError`.
        """
        check_utf8(body)
        self._body = body
        self._most = DOCUMENT_BYTES + tensors * TENSOR_BYTES
        self._text = BodyText(body)
        self._lists: list[LongList] = []
        self._unread = 0
        self._parts: list[bytes] = []
        self._cuts: list[_Cut] = []
        self._length = self._kept_from = 0
        self._take_apart()
        self._skeleton = b"".join((*self._parts, body[self._kept_from :]))

    def document(self) -> Any:
        """Return what the body says, with a `LongList` for long data of a tensor.

        Raises `RequestError` where it is not JSON.
        """
        try:
            document = orjson.loads(self._skeleton)
        except orjson.JSONDecodeError as error:
            place = self._place(bytes_before(self._skeleton, error.pos))
            for one in self._lists:
                if one.start < place:
                    one.check()
            raise self._text.not_json(error.msg, place) from None
        return self._restored(document) if self._lists else document

    def check_rest(self) -> None:
        """Raise where a list is not JSON, read or not."""
        for one in self._lists:
            one.check()

    def _take_apart(self) -> None:
        body, place = self._body, 0
        while place < len(body):
            quote = body.find(b'"', place)
            stop = quote if quote >= 0 else len(body)
            if stop - place >= LONG:
                self._stretch(place, stop)
            self._check_size(stop)
            place = self._text_end(quote) if quote >= 0 else stop
        self._check_size(len(body))

    def _check_size(self, place: int) -> None:
        """Raise where too much stays of what is before a place."""
        if self._length + place - self._kept_from > self._most:
            raise invalid(
                "$",
                f"a body of over {LARGE_BYTES} bytes may have {self._most} beside the "
                "numbers of its tensors; this one has more",
            )

    def _text_end(self, quote: int) -> int:
        """Return what follows a text that begins with a quote."""
        body, place = self._body, quote + 1
        while (end := body.find(b'"', place)) >= 0:
            self._check_size(end)
            part = body[place:end]
            place = end + 1
            if (len(part) - len(part.rstrip(b"\\"))) % 2 == 0:
                return place
        return len(body)

    def _stretch(self, start: int, stop: int) -> None:
        """Cut the long lists and spaces out of what is between two texts."""
        is_value, place = start == 0, start
        for match in _STRUCTURE.finditer(self._body, start, stop):
            self._segment(place, match.start(), is_value=is_value)
            place = match.end()
            is_value = match[0] == b":"
            self._check_size(place)
        self._segment(place, stop, is_value=is_value)

    def _segment(self, start: int, stop: int, *, is_value: bool) -> None:
        """Cut what is between two of { } and :, where a value may stand first."""
        if stop - start < LONG:
            return
        if is_value and (found := self._list_in(start, stop)):
            self._spaces(start, found[0])
            self._cut(*found, b'"%b%d"' % (_MARK.encode(), len(self._lists)))
            self._add(*found)
            start = found[1]
        self._spaces(start, stop)

    def _list_in(self, start: int, stop: int) -> tuple[int, int] | None:
        """Return where the list is that a value is, if it is long."""
        body = self._body
        space = _SPACE.match(body, start, stop)
        first = space.end() if space else start
        last = body.rfind(b"]", first, stop) + 1
        is_list = last - first >= LONG and body[first : first + 1] == b"["
        if not is_list or _NOT_ASCII.search(body, first, last):
            return None
        opened, closed = (body.count(it, first, last) for it in (b"[", b"]"))
        return (first, last) if opened == closed else None

    def _spaces(self, start: int, stop: int) -> None:
        for match in _LONG_SPACE.finditer(self._body, start, stop):
            self._cut(*match.span(), b" ")

    def _cut(self, start: int, stop: int, instead: bytes) -> None:
        kept = bytes(self._body[self._kept_from : start])
        self._parts += (kept, instead)
        self._length += len(kept) + len(instead)
        self._kept_from = stop
        self._cuts.append(_Cut(start, stop, self._length))

    def _add(self, start: int, stop: int) -> None:
        """Add the list that has just been cut out."""
        length = self._length - len(self._parts[-1])
        before = functools.partial(self._before, length)
        one = LongList(self._text, start, stop, before=before, give_up=self._give_up)
        self._lists.append(one)

    def _before(self, length: int) -> bytes:
        return self._skeleton[:length]

    def _give_up(self, place: int) -> None:
        """Forget the text before a place, but for lists that are not read yet."""
        lists = self._lists
        while self._unread < len(lists) and lists[self._unread].is_begun:
            self._unread += 1
        if self._unread < len(lists):
            place = min(place, lists[self._unread].start)
        self._text.give_up(place)

    def _place(self, byte: int) -> int:
        """Return the place in the body of one in the document."""
        number = bisect.bisect_right(self._cuts, byte, key=lambda cut: cut.after)
        if not number:
            return byte
        cut = self._cuts[number - 1]
        return cut.stop + byte - cut.after

    def _restored(self, document: Any) -> Any:
        """Put lists where their texts stand; those that are not data become short."""
        if isinstance(document, str):
            return self._lists[0].stub()
        tensors = set(map(id, _tensors(document)))
        holders: list[Any] = [document]
        while holders:
            holder = holders.pop()
            for key, value in _members(holder):
                if isinstance(value, dict | list):
                    holders.append(value)
                elif isinstance(value, str) and value.startswith(_MARK):
                    one = self._lists[int(value.removeprefix(_MARK))]
                    is_data = key == "data" and id(holder) in tensors
                    holder[key] = one if is_data else one.stub()
        return document


def _members(holder: Any) -> Iterator[tuple[Any, Any]]:
    yield from list(holder.items() if isinstance(holder, dict) else enumerate(holder))


def _tensors(document: Any) -> list[Any]:
    entries = document.get("inputs") if isinstance(document, dict) else None
    return entries if isinstance(entries, list) else []
