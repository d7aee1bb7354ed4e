"""Options that several commands of the ledger share."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.ledger.store import FolderStore, Store
from toolchain import paths
from toolchain.errors import OperatorError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
model_argument = click.argument("model", metavar="NAME")


def default_ledger() -> Path:
    """The user's own ledger."""
    return paths.state() / "ledger"


def require_entries(holds: bool, ledger: Store, model: str) -> None:
    """OperatorError unless the ledger has entries of the model."""
    if not holds:
        raise OperatorError(
            f"{ledger}: there are no entries of {model}; give the right --ledger, or "
            "register a revision first"
        )


trust_option = click.option(
    "--trust",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Trusted public key; default: your own. Repeatable.",
)


class _Store(click.ParamType[Store]):
    """A folder, or s3://BUCKET/PREFIX."""

    name = "ledger"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Store:
        text = str(value)
        if not text.startswith("s3://"):
            return FolderStore(Path(text))
        from slipway.ledger import bucket  # boto3 takes its time

        try:
            return bucket.opened(text)
        except ValueError as error:
            self.fail(str(error), param, ctx)


ledger_option = click.option(
    "--ledger",
    type=_Store(),
    default=default_ledger,
    metavar="PLACE",
    help="A folder, or s3://BUCKET/PREFIX; default: `ledger` in your state folder.",
)
stack_ledger_option = click.option(
    "--ledger",
    type=_Store(),
    metavar="PLACE",
    help="A folder, or s3://BUCKET/PREFIX; default: the stack's `ledger`, else "
    "`ledger` in your state folder.",
)
