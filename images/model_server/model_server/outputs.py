"""Results of a model run: arrays, and the same as JSON text on demand."""

from __future__ import annotations

import numpy as np
import orjson

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


class Results:
    """The arrays of one run, one for each output; the requests of its batch share it.

    The text is made at most once: by the run if one of its requests is answered in
    JSON, else by the prediction log's thread, which keeps its own of each row in
    `logged`.
    """

    __slots__ = ("_texts", "arrays", "logged")

    def __init__(self, arrays: list[Array]) -> None:
        self.arrays = arrays
        self._texts: list[list[bytes]] | None = None
        self.logged: list[bytes] | None = None

    def texts(self) -> list[list[bytes]]:
        """Return each output's rows as JSON values joined by commas."""
        texts = self._texts
        if texts is None:
            self._texts = texts = [rows_as_text(array) for array in self.arrays]
        return texts


class Outputs:
    """The rows of one request in the results of a run."""

    __slots__ = ("_stop", "results", "start")

    def __init__(self, results: Results, start: int, stop: int) -> None:
        self.results = results
        self.start = start
        self._stop = stop

    def part(self, start: int, stop: int) -> Outputs:
        """Return some of the rows."""
        return Outputs(self.results, self.start + start, self.start + stop)

    @property
    def arrays(self) -> list[Array]:
        """One array for each output of the manifest, rows first."""
        start, stop = self.start, self._stop
        return [array[start:stop] for array in self.results.arrays]

    def texts(self) -> list[list[bytes]]:
        """Return each output's rows as JSON values joined by commas."""
        texts = self.results.texts()
        start, stop = self.start, self._stop
        if start == 0 and stop == len(texts[0]):
            return texts
        return [text[start:stop] for text in texts]

    def is_finite(self) -> bool:
        return all(
            array.dtype.kind != "f" or bool(np.isfinite(array).all())
            for array in self.arrays
        )


def joined(texts: list[bytes]) -> bytes:
    """Return rows' texts as one list's values; a row of a free shape may be empty."""
    return b",".join(filter(None, texts))


def rows_as_text(array: Array) -> list[bytes]:
    """Return each row's values as JSON text joined by commas.

    A value that is not finite shows as null.
    """
    if array.dtype == object:
        flat = array.reshape(len(array), -1)
        return [orjson.dumps(list(row))[1:-1] for row in flat]
    if array.ndim == 1:
        text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
        return text[1:-1].split(b",")
    if array.ndim > 2:
        array = array.reshape(len(array), -1)
    text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].split(b"],[")
