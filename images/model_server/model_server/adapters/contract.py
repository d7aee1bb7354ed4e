"""The paths of the model server's contract, and how an application gives them a place.

`/openapi.json` is not among them: applications have one of their own, and each model
has its document below `/v2/models`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

PAGES = ("/healthz", "/readyz", "/metrics", "/v2", "/infer")
BELOW = "/v2"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
"""All that HTTP has, so that a wrong one is answered with the contract's own error."""


class MountError(Exception):
    """The contract cannot be mounted; the text says which path and what to do."""


def pages(leave: Collection[str], taken: Iterable[str]) -> list[str]:
    """Return the paths to mount, without those to `leave` to the application.

    Raises `MountError` if one of them is taken already or there is none to leave.
    """
    if unknown := sorted(set(leave) - set(PAGES)):
        raise MountError(
            f"leave={unknown}: the contract has no such path; it has {', '.join(PAGES)}"
        )
    wanted = [path for path in PAGES if path not in leave]
    if clash := sorted(set(wanted) & set(taken)):
        raise MountError(
            f"the application has a route at {', '.join(clash)} already; move it, or "
            f"keep it with mount(..., leave={clash}) and say so to whatever probes it"
        )
    return wanted
