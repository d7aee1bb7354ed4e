"""Codes in the log for features whose values the policy does not keep.

Each function converts a value to JSON text. A code is computed once for each value of a
batch.
"""

from __future__ import annotations

import hmac
import math

HASH_DIGITS = 32
"""Length of a code, out of 64 hexadecimal digits: 128 bits, so no two values of a
feature collide."""
NULL = b"null"


class Bucket:
    """Numbers rounded down to a multiple of a width; null of what is not finite."""

    def __init__(self, width: float, *, is_exact: bool) -> None:
        """`is_exact`: values and width are whole, and may be beyond 2**53."""
        self._width = int(width) if is_exact else float(width)
        self._is_exact = is_exact

    def __call__(self, value: float) -> bytes:
        if self._is_exact:
            return b"%d" % (value // self._width * self._width)
        multiple = value / self._width
        if not math.isfinite(multiple):
            return NULL
        return repr(float(math.floor(multiple) * self._width)).encode()

    def of_list(self, row: tuple[float, ...]) -> bytes:
        return b"[%b]" % b",".join(map(self, row))


class Hash:
    """Keyed hash (HMAC-SHA256) of a value's canonical text: the same for equal values.

    Whoever has the key can find the records of a value; nobody else can try values out.
    """

    def __init__(self, key: bytes) -> None:
        # A copy of it costs half of a new one: the key is taken in already.
        self._keyed = hmac.new(key, digestmod="sha256")

    def of_text(self, text: bytes) -> bytes:
        """Return the hash of a text, in quotes."""
        keyed = self._keyed.copy()
        keyed.update(text)
        return b'"%b"' % keyed.hexdigest()[:HASH_DIGITS].encode()

    def of_number(self, text: bytes) -> bytes:
        """Return the hash of a number or a boolean in JSON; null of a missing one."""
        return NULL if text == NULL else self.of_text(canonical(text))

    def of_numbers(self, texts: bytes) -> bytes:
        """Return the hash of a list of numbers, whose JSON has commas between them."""
        return self.of_texts(b",".join(map(canonical, texts.split(b","))))

    def of_texts(self, texts: bytes) -> bytes:
        """Return the hash of a list of texts, whose JSON has commas between them."""
        return self.of_text(b"[%b]" % texts)


def canonical(text: bytes) -> bytes:
    """Return the one text of a number in JSON: whole ones have no point, `-0` is `0`.

    true, false and null stay as they are.
    """
    if b"e" in text and text[-1:].isdigit():
        number = float(text)
        return b"%d" % int(number) if number.is_integer() else text
    whole = text.removesuffix(b".0")
    return b"0" if whole == b"-0" else whole
