"""Requests of the Open Inference Protocol, made of what the log has of a row."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipway.replay.pairs import Answer, Value
from slipway.replay.prediction_log import Record
from toolchain.errors import OperatorError

DECISION, SCORE = "label", "probability"
"""Outputs that a model server logs as decision and score if model.yaml names none."""


class ModelError(OperatorError):
    """The server has no such model, or its requests cannot be made from a log."""


@dataclass(frozen=True)
class Input:
    """A tensor that the model takes; `names` are its columns as the log names them."""

    name: str
    datatype: str
    names: tuple[str, ...]
    dimensions: tuple[int, ...]
    """Dimensions of one row."""


@dataclass(frozen=True)
class Model:
    """A server's description of a model, and its outputs for decision and score."""

    inputs: tuple[Input, ...]
    decision: str
    score: str

    @classmethod
    def of(cls, metadata: dict[str, Any], decision: str = "", score: str = "") -> Model:
        """From `GET /v2/models/NAME`; ModelError if a row of a log cannot be asked.

        `decision` and `score`: names of outputs; empty: `label` and `probability`
        where the model has them.
        """
        outputs = [one["name"] for one in metadata["outputs"]]
        for name in filter(None, (decision, score)):
            if name not in outputs:
                raise ModelError(
                    f"the model has no output {name}; it has {', '.join(outputs)}"
                )
        features = metadata.get("parameters", {}).get("features") or []
        return cls(
            tuple(
                _input(one, features if not place else [])
                for place, one in enumerate(metadata["inputs"])
            ),
            decision or (DECISION if DECISION in outputs else ""),
            score or (SCORE if SCORE in outputs else ""),
        )

    def missing(self, record: Record) -> list[str]:
        """Features that the log lacks for a row."""
        there = record.get("features") or {}
        return [name for one in self.inputs for name in one.names if name not in there]

    def body(self, rows: Sequence[Record]) -> bytes:
        """The request for these rows; all of them have every feature."""
        inputs = [
            {
                "name": one.name,
                "datatype": one.datatype,
                "shape": [len(rows), *one.dimensions],
                "data": [row["features"][name] for row in rows for name in one.names],
            }
            for one in self.inputs
        ]
        return json.dumps({"inputs": inputs}).encode()

    def answers(self, body: bytes, rows: int, latency: float) -> list[Answer]:
        """The rows' answers; ValueError if the body does not answer so many rows."""
        try:
            outputs = {one["name"]: one for one in json.loads(body)["outputs"]}
            decisions = _rows(outputs.get(self.decision), rows)
            scores = _rows(outputs.get(self.score), rows)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no answer of the protocol: {error!r}") from error
        return [
            Answer(decision, _score(score), latency)
            for decision, score in zip(decisions, scores, strict=True)
        ]


def _input(one: dict[str, Any], features: Sequence[str]) -> Input:
    dimensions = tuple(int(it) for it in one["shape"][1:])
    name, width = one["name"], math.prod(dimensions)
    if any(it < 0 for it in dimensions):
        raise ModelError(
            f"the input {name} has free dimensions, which a log has no request of"
        )
    names = tuple(features) or (
        (name,) if width == 1 else tuple(f"{name}[{it}]" for it in range(width))
    )
    if len(names) != width:
        raise ModelError(
            f"the input {name} has {width} columns and the model names {len(names)} "
            "features"
        )
    return Input(name, one["datatype"], names, dimensions)


def _rows(output: dict[str, Any] | None, rows: int) -> list[Value]:
    """One value, or a list of them, for each row; null without such an output."""
    if output is None:
        return [None] * rows
    data = output["data"]
    width, rest = divmod(len(data), rows)
    if rest or not width:
        raise ValueError(f"{output['name']} has {len(data)} values for {rows} rows")
    if width == 1:
        return list(data)
    return [data[at : at + width] for at in range(0, len(data), width)]


def _score(value: Value) -> Value:
    """Return the score as the log has it: with two classes, the second's."""
    return value[1] if isinstance(value, list) and len(value) == 2 else value
