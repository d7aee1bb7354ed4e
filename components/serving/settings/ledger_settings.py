"""The ledger that `slipway up` asks whether revisions may be served."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from components.setting_types import ModelName
from components.settings import Problem, Settings, refuse

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")


def _in_checkout(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        refuse(
            "it is outside of the checkout, where no reviewer sees it",
            "give a path in the checkout, such as ledger or ledger/ci.pub.pem",
        )
    return value


def _place(value: str) -> str:
    if value.startswith("s3://"):
        if not _BUCKET.fullmatch(value):
            refuse("it is not s3://BUCKET/PREFIX", "give a bucket's name and a prefix")
        return value
    return _in_checkout(value)


InCheckout = Annotated[str, Field(min_length=1), AfterValidator(_in_checkout)]


class LedgerSettings(Settings):
    """The ledger, its trusted keys, and the checks before `slipway up`."""

    place: Annotated[str, Field(min_length=1), AfterValidator(_place)]
    """A folder of the checkout, or s3://BUCKET/PREFIX, as `slipway ledger` has it."""
    trusted_keys: Annotated[tuple[InCheckout, ...], Field(min_length=1, max_length=20)]
    """Files of the checkout with the public keys that may sign entries."""
    require_staged: bool | None = None
    """Whether a revision has to be staged, or further, before it is served. Default:
    with production: true. A revision that is registered with another image is refused
    in any case."""
    exempt: Annotated[tuple[ModelName, ...], Field(max_length=100)] = ()
    """Model servers that the ledger is not asked about: such as those whose weights
    are not an image."""

    def unknown(self, models: Collection[str]) -> Iterator[Problem]:
        """Report exempt servers that do not exist."""
        for name in self.exempt:
            if name not in models:
                yield Problem(
                    "ledger.exempt",
                    name,
                    f"there is no such model; there are: {', '.join(sorted(models))}",
                    "remove it, or correct the name",
                )
