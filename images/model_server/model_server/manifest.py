"""model.yaml: what a model folder says of its model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from model_server import manifest_keys
from model_server.feature_names import feature_names
from model_server.formats import DEFAULT_SIGNATURE, FORMATS, ONNX, SAVED_MODEL
from model_server.log_policy import LogPolicy
from model_server.manifest_log import read_log_policy
from model_server.manifest_tensors import read_tensors
from model_server.tensor import Tensor

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class ModelError(Exception):
    """A model folder cannot be served; `problems` holds one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ModelFolderError(ModelError):
    """A model folder contradicts itself: nothing is served until it is mended."""


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
    digests: Mapping[str, str]
    rows_are_dependent: bool = False
    """Whether a request's rows belong together: it runs by itself and is never cut."""
    warm_up: Mapping[str, Any] = field(default_factory=dict)
    """Rows to warm up with, by the input's name; empty: rows of zeros."""
    log: LogPolicy = field(default_factory=LogPolicy)
    """What the prediction log keeps of the features; by default nothing."""
    format: str = ONNX
    """What the model is: a key of `FORMATS`."""
    signature: str = ""
    """Of a SavedModel: the signature that is served."""

    @property
    def feature_names(self) -> list[tuple[str, ...]]:
        """The names of each input's columns."""
        return feature_names(self.inputs, self.features)

    @property
    def keeps_every_value(self) -> bool:
        """Whether all features are logged as they are: then errors may show them."""
        return all(self.log.keep.issuperset(names) for names in self.feature_names)


def read_manifest(file: Path) -> Manifest:
    """Parse a model.yaml; raise `ModelError` with every problem found."""
    try:
        content = yaml.load(file.read_text(), _UniqueKeys)  # noqa: S506, a safe one
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError([f"{file}: cannot be read as YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise ModelError([f"{file}: must be a mapping of keys to values"])
    known = manifest_keys.SERVED | manifest_keys.DESCRIBING
    problems = manifest_keys.unknown("", content, known)
    manifest = _Parser(content, problems).manifest()
    if problems:
        raise ModelError([f"{file}: {problem}" for problem in problems])
    return manifest


class _UniqueKeys(yaml.SafeLoader):
    """Rejects a duplicate key: of two widths or two lists, one would be ignored."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


class _Parser:
    """Reads one mapping and collects what is wrong in it."""

    def __init__(self, content: dict[str, object], problems: list[str]) -> None:
        self.content = content
        self.problems = problems

    def manifest(self) -> Manifest:
        inputs = self._tensors("inputs")
        outputs = self._tensors("outputs")
        names = {tensor.name for tensor in outputs}
        features = self._features(inputs)
        kind = self._format()
        return Manifest(
            name=self._text("name", NAME),
            version=self._text("version", NAME),
            revision=self._text("revision", REVISION),
            inputs=inputs,
            outputs=outputs,
            features=features,
            decision=self._logged("decision", "label", names),
            score=self._logged("score", "probability", names),
            digests=self._digests(),
            rows_are_dependent=self._rows_are_dependent(),
            warm_up=self._warm_up(inputs),
            log=read_log_policy(
                self.content.get("log", {}), inputs, features, self.problems
            ),
            format=kind,
            signature=self._signature(kind),
        )

    def _format(self) -> str:
        value = self.content.get("format", ONNX)
        if value in FORMATS:
            return str(value)
        known = " or ".join(FORMATS)
        self.problems.append(f"format: {value!r} must be {known}; default: {ONNX}")
        return ONNX

    def _signature(self, kind: str) -> str:
        value = self.content.get("signature")
        if kind != SAVED_MODEL:
            if value is not None:
                self.problems.append(
                    f"signature: a model of the format {kind} has none; remove it, or "
                    f"say format: {SAVED_MODEL}"
                )
            return ""
        if value is None:
            return DEFAULT_SIGNATURE
        if not isinstance(value, str) or not value:
            self.problems.append(
                f"signature: {value!r} must be the name of one of the SavedModel's "
                f"signatures; default: {DEFAULT_SIGNATURE}"
            )
        return str(value)

    def _rows_are_dependent(self) -> bool:
        value = self.content.get("rows", "independent")
        if value not in {"independent", "dependent"}:
            self.problems.append(
                f"rows: {value!r} must be independent (the default) or dependent: "
                "then each request runs by itself"
            )
        return value == "dependent"

    def _warm_up(self, inputs: tuple[Tensor, ...]) -> Mapping[str, Any]:
        value = self.content.get("warm_up", {})
        if not isinstance(value, dict):
            names = ", ".join(tensor.name for tensor in inputs)
            self.problems.append(
                f"warm_up: must be a mapping with a list of rows for each of {names}"
            )
            return {}
        return value

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
        is_input = key == "inputs"
        return read_tensors(key, entries, self.problems, is_input=is_input)

    def _features(self, inputs: tuple[Tensor, ...]) -> tuple[str, ...]:
        features = self.content.get("features", [])
        if not isinstance(features, list) or not all(
            isinstance(name, str) for name in features
        ):
            self.problems.append("features: must be a list of names")
            return ()
        if twice := sorted({name for name in features if features.count(name) > 1}):
            self.problems.append(f"features: {', '.join(twice)} twice")
        if not features or not inputs:
            return tuple(features)
        if inputs[0].is_free:
            self.problems.append(
                f"features: the input {inputs[0].name} has free dimensions, so its "
                "columns have no names; leave features out"
            )
        elif len(features) != inputs[0].width:
            self.problems.append(
                f"features: {len(features)} names for an input of {inputs[0].width} "
                "columns"
            )
        return tuple(features)

    def _logged(self, key: str, default: str, outputs: set[str]) -> str:
        prediction = self.content.get("prediction", {})
        if not isinstance(prediction, dict):
            self.problems.append("prediction: must be a mapping")
            return ""
        if key == "decision":  # each key of the mapping is looked at once
            known = manifest_keys.PREDICTION
            self.problems += manifest_keys.unknown("prediction.", prediction, known)
        name = prediction.get(key)
        if name is None:
            return default if default in outputs else ""
        if name not in outputs:
            self.problems.append(
                f"prediction.{key}: {name!r} is not one of the outputs "
                f"{', '.join(sorted(outputs))}"
            )
        return str(name)

    def _digests(self) -> dict[str, str]:
        """Return digests by the file's path in the folder, or by their subject."""
        digests = self.content.get("digests", {})
        if not isinstance(digests, dict):
            self.problems.append("digests: must be a mapping")
            return {}
        return {str(name): str(digest) for name, digest in digests.items()}
