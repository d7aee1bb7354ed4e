"""Heads of HTTP/2 requests as they are read, and headers as they are written.

hpack decodes (RFC 7541). A client repeats its heads byte by byte as soon as the
connection's table has what they name, so a block that has been read before is not
decoded again while the table stays as it was.
"""

from __future__ import annotations

from hpack import Decoder, HPACKError
from hpack.exceptions import OversizedHeaderListError

from model_server.http2_frames import Code, ConnectionFaultError

CACHED_BLOCKS = 64
CACHED_BYTES = 1024
"""Number of cached header blocks of a connection, and maximum length of one."""
LIST_TIMES = 4
"""A list longer than allowed costs its request; so many times longer, the connection:
hpack reads no further then, and the tables of both sides are no longer the same."""
ENTRY_BYTES = 32
"""Overhead of a header beyond its text (RFC 7541, section 4.1)."""
_CONNECTION = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding")
) | {b"upgrade"}
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path"))
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Head:
    """The head of one request; `problem` says why it is none (RFC 9113, 8.1.1)."""

    __slots__ = ("fields", "is_too_large", "method", "path", "problem")

    def __init__(self, headers: list[tuple[bytes, bytes]], max_bytes: int) -> None:
        self.fields: dict[bytes, bytes] = {}
        pseudo: dict[bytes, bytes] = {}
        self.problem = ""
        size = 0
        for name, value in headers:
            size += len(name) + len(value) + ENTRY_BYTES
            if name.startswith(b":"):
                if name in pseudo or self.fields or name not in _PSEUDO:
                    self.problem = "pseudo-headers must be known, first and once"
                pseudo[name] = value
            elif not name or name in _CONNECTION or not _UPPER.isdisjoint(name):
                self.problem = "a header's name must be in lower case and of no hop"
            else:
                self.fields.setdefault(name, value)
        self.is_too_large = size > max_bytes
        self.method = pseudo.get(b":method", b"")
        self.path = pseudo.get(b":path", b"")
        if not (self.method and self.path and pseudo.get(b":scheme")):
            self.problem = self.problem or "method, scheme or path is missing"


class HeadReader:
    """Reads the heads of one connection in the order in which they come."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._decoder = Decoder(LIST_TIMES * max_bytes)
        self._cache: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """Return the head of a block; raise `ConnectionFaultError` if it is none."""
        found = self._cache.get(block)
        if found is not None:
            return found
        before = self._table()
        try:
            headers = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise ConnectionFaultError(
                Code.ENHANCE_YOUR_CALM, f"headers of more than {self._max_bytes} bytes"
            ) from None
        except (HPACKError, IndexError):
            raise ConnectionFaultError(
                Code.COMPRESSION_ERROR, "headers cannot be decoded"
            ) from None
        head = Head(
            [(bytes(name), bytes(value)) for name, value in headers], self._max_bytes
        )
        if self._table() != before:
            self._cache.clear()
        elif len(block) <= CACHED_BYTES:
            if len(self._cache) >= CACHED_BLOCKS:
                self._cache.clear()
            self._cache[block] = head
        return head

    def _table(self) -> tuple[int, int, object]:
        """Return what is another after a block that has changed the table.

        Entries are added in front. The newest is compared as an object, kept here.
        """
        table = self._decoder.header_table
        entries = table.dynamic_entries
        return table.maxsize, len(entries), _Same(entries[0] if entries else None)


class _Same:
    """Is equal to another of the same object only."""

    __slots__ = ("_it",)

    def __init__(self, it: object) -> None:
        self._it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._it is other._it

    __hash__ = None  # type: ignore[assignment]


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header as text that no table takes in (RFC 7541, section 6.2.2)."""
    return b"\0" + _text(name) + _text(value)


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 0x7F:
        return bytes((size,)) + text
    found = bytearray(b"\x7f")
    size -= 0x7F
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found) + text
