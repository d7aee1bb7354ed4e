"""model.yaml: what a model folder says of its model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from model_server.datatypes import DATATYPES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class ModelError(Exception):
    """A model folder cannot be served; `problems` holds one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Tensor:
    """One input or output: name, protocol datatype, shape with -1 for the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def metadata(self) -> dict[str, object]:
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
        }


@dataclass(frozen=True)
class Manifest:
    """The parsed model.yaml."""

    name: str
    version: str
    revision: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[str, ...]
    decision: str
    score: str
    weights_digest: str


def read_manifest(file: Path) -> Manifest:
    """Parse a model.yaml; raise `ModelError` with every problem found."""
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError([f"{file}: cannot be read as YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise ModelError([f"{file}: must be a mapping of keys to values"])
    problems: list[str] = []
    manifest = _Parser(content, problems).manifest()
    if problems:
        raise ModelError([f"{file}: {problem}" for problem in problems])
    return manifest


class _Parser:
    """Reads one mapping and collects what is wrong in it."""

    def __init__(self, content: dict[str, object], problems: list[str]) -> None:
        self.content = content
        self.problems = problems

    def manifest(self) -> Manifest:
        inputs = self._tensors("inputs")
        outputs = self._tensors("outputs")
        names = {tensor.name for tensor in outputs}
        return Manifest(
            name=self._text("name", NAME),
            version=self._text("version", NAME),
            revision=self._text("revision", REVISION),
            inputs=inputs,
            outputs=outputs,
            features=self._features(inputs),
            decision=self._logged("decision", "label", names),
            score=self._logged("score", "probability", names),
            weights_digest=self._digest(),
        )

    def _text(self, key: str, pattern: re.Pattern[str]) -> str:
        value = self.content.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.problems.append(
                f"{key}: {value!r} must be a string (in quotes if it is a number) of "
                f"the form {pattern.pattern}"
            )
            return ""
        return value

    def _tensors(self, key: str) -> tuple[Tensor, ...]:
        entries = self.content.get(key)
        if not isinstance(entries, list) or not entries:
            self.problems.append(f"{key}: must be a list of at least one tensor")
            return ()
        tensors = [
            self._tensor(f"{key}[{index}]", entry, allow_text=key == "outputs")
            for index, entry in enumerate(entries)
        ]
        found = tuple(tensor for tensor in tensors if tensor)
        if len({tensor.name for tensor in found}) < len(found):
            self.problems.append(f"{key}: a name stands twice")
        return found

    def _tensor(self, path: str, entry: object, *, allow_text: bool) -> Tensor | None:
        if not isinstance(entry, dict):
            self.problems.append(f"{path}: must have name, datatype and shape")
            return None
        name, datatype, shape = (
            entry.get(key) for key in ("name", "datatype", "shape")
        )
        before = len(self.problems)
        if not isinstance(name, str) or not name:
            self.problems.append(f"{path}.name: {name!r} must be a string")
        known = [*DATATYPES, "BYTES"] if allow_text else list(DATATYPES)
        if datatype not in known:
            self.problems.append(
                f"{path}.datatype: {datatype!r} must be one of {', '.join(known)}"
            )
        if not _is_shape(shape):
            self.problems.append(
                f"{path}.shape: {shape!r} must be -1 (the batch) and then sizes that "
                "are whole and at least 1"
            )
        if len(self.problems) > before:
            return None
        return Tensor(str(name), str(datatype), tuple(shape))  # type: ignore[arg-type]

    def _features(self, inputs: tuple[Tensor, ...]) -> tuple[str, ...]:
        features = self.content.get("features", [])
        if not isinstance(features, list) or not all(
            isinstance(name, str) for name in features
        ):
            self.problems.append("features: must be a list of names")
            return ()
        width = 1
        for size in inputs[0].shape[1:] if inputs else ():
            width *= size
        if features and len(features) != width:
            self.problems.append(
                f"features: {len(features)} names for an input of {width} columns"
            )
        return tuple(features)

    def _logged(self, key: str, default: str, outputs: set[str]) -> str:
        prediction = self.content.get("prediction", {})
        if not isinstance(prediction, dict):
            self.problems.append("prediction: must be a mapping")
            return ""
        name = prediction.get(key)
        if name is None:
            return default if default in outputs else ""
        if name not in outputs:
            self.problems.append(
                f"prediction.{key}: {name!r} is none of the outputs "
                f"{', '.join(sorted(outputs))}"
            )
        return str(name)

    def _digest(self) -> str:
        digests = self.content.get("digests", {})
        if not isinstance(digests, dict):
            self.problems.append("digests: must be a mapping")
            return ""
        return str(digests.get("model.onnx", ""))


def _is_shape(shape: object) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) >= 1
        and all(type(size) is int for size in shape)
        and shape[0] == -1
        and all(size >= 1 for size in shape[1:])
    )
