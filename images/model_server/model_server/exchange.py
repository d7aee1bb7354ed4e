"""A request of the fast path, in the form that uvicorn's protocol uses."""

from __future__ import annotations


class _NoEvent:
    """Stands where uvicorn wakes the task of a request; here there is none."""

    def set(self) -> None:
        pass


class Exchange:
    """The request under way on the short way, as uvicorn's protocol looks at it."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True
        self.message_event = _NoEvent()
