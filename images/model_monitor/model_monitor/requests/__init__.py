"""Requests: work on a store that a running monitor does for an operator's command.

A request is one file, written whole, in the store's folder `requests/`, with the files
that it is about in a folder beside it. The process that holds the store carries each
out once, in the order of their ids, and writes the answer.
"""

from model_monitor.requests.answer import Answer, Outcome, Passed
from model_monitor.requests.carrying import Requests
from model_monitor.requests.inbox import Inbox, RequestRefusedError
from model_monitor.requests.request import Kind, Request, Work

__all__ = [
    "Answer",
    "Inbox",
    "Kind",
    "Outcome",
    "Passed",
    "Request",
    "RequestRefusedError",
    "Requests",
    "Work",
]
