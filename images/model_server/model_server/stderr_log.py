"""Converts libraries' output on standard error to lines of the log.

onnxruntime and glibc write plain text there from C++. In a container's log it appears
between the JSON lines and breaks their readers.
"""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import re
import threading

logger = logging.getLogger("stderr")

_STANDARD_ERROR = 2
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SEVERITY = re.compile(r"\[([VIWEF]):|^([IWEF])\d{4} ")
"""onnxruntime's `[W:onnxruntime:...` and absl's `E0000 00:00:...`."""
_LEVELS = {
    "V": logging.DEBUG,
    "I": logging.INFO,
    "W": logging.WARNING,
    "E": logging.ERROR,
    "F": logging.CRITICAL,
}
_JOIN_SECONDS = 2.0


def capture() -> None:
    """Log each line that this process writes on standard error from now on.

    A crash in C code still dumps Python's stacks on the original standard error: no
    thread is left then that could log them. What is written last is logged at exit.
    """
    original = os.dup(_STANDARD_ERROR)
    faulthandler.enable(original)
    reading, writing = os.pipe()
    os.dup2(writing, _STANDARD_ERROR)
    os.close(writing)
    thread = threading.Thread(
        target=_log_lines, args=(reading,), name="stderr", daemon=True
    )
    thread.start()

    def finish() -> None:
        # The pipe has no writer any more, so that the thread comes to its end.
        os.dup2(original, _STANDARD_ERROR)
        thread.join(_JOIN_SECONDS)

    atexit.register(finish)


def _log_lines(reading: int) -> None:
    with os.fdopen(reading, errors="replace") as lines:
        for line in lines:
            text = _COLOUR.sub("", line).rstrip()
            if text:
                # Its text is the message: the filter that holds repeated messages
                # back would take lines of one format for the same.
                logger.log(level_of(text), text)


def level_of(text: str) -> int:
    """Return the level that a line of a library names; a warning if it names none."""
    found = _SEVERITY.search(text)
    return _LEVELS[found[1] or found[2]] if found else logging.WARNING
