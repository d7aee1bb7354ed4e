# The extension that extension/tree_masks.c is, for mypy.
from typing_extensions import Buffer

class Forest:
    def __init__(
        self,
        *,
        columns: int,
        trees: int,
        targets: int,
        bits: int,
        output: int,
        divisor: float,
        column: Buffer,
        first: Buffer,
        thresholds: Buffer,
        masks: Buffer,
        leaves: Buffer,
        bases: Buffer,
        label: Buffer,
    ) -> None: ...
    def run(self, rows: Buffer, labels: Buffer | None, scores: Buffer) -> None: ...
