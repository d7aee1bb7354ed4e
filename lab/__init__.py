"""A real Kubernetes on one Linux machine: hosts in namespaces, and how they are made.

`lab.Lab` is the whole of it for other packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.lab import Lab

__all__ = ["Lab"]


def __getattr__(name: str) -> Any:
    # On demand: `lab.settings` is also read where no lab can run.
    if name == "Lab":
        from lab.lab import Lab

        return Lab
    raise AttributeError(f"module 'lab' has no attribute {name!r}")
