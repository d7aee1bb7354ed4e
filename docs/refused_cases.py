"""The corpus of refused configurations (tests/rejects), and the messages of each.

Each file, named by its layer or `<layer>-<topic>`, holds a good configuration and the
cases: what each changes in it (`change`, merged into mappings) or leaves out (`drop`,
paths), the consequence if it were accepted (`would`, a key of `CONSEQUENCES`), and the
problems it must give, all of them and no others.
"""

from __future__ import annotations

import copy
import functools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import yaml_text
from components.settings import Problem, SettingsError
from slipway.rendering.render import render
from toolchain import paths

CORPUS = paths.ROOT / "tests" / "rejects"
CONSEQUENCES = {
    "open": "unauthorized callers could read, call or change something",
    "unreviewed": "something unreviewed could run",
    "lost": "data, records or other users' objects would be lost",
    "down": "requests would fail, or a program would not start",
    "stuck": "pods or nodes would stay pending",
    "never": "an alert, a limit or an autoscaler would never act, or always",
    "cost": "money would be wasted, or spent without a limit",
    "ignored": "the setting would be ignored silently",
    "mixed": "two settings conflict, and one would silently override the other",
    "misread": "YAML or a program would read another value",
    "later": "AWS, Kubernetes or a program would reject it halfway through an update",
}
"""The consequence, by the key that a case gives as `would`."""
MIRRORED = (
    "dcgm-exporter",
    "income-savedmodel",
    "karpenter",
    "nvidia-device-plugin",
    "reranker-onnx",
    "tensorflow-serving",
    "trainer-torch",
    "tritonserver",
    "vllm-openai",
)
"""Images of others that are not built here: who installs on EKS mirrors and locks them
(docs/how-to/cluster-on-aws.md)."""


def reference(name: str) -> str:
    """A full image reference with a digest made from the name."""
    digits = name.encode().hex()
    return f"registry.lab:5000/slipway/{name}@sha256:{digits.ljust(64, '0')[:64]}"


def images() -> dict[str, str]:
    """images.lock once all of images/ is built and these are mirrored."""
    return {name: reference(name) for name in (*_built(), *MIRRORED)}


@functools.cache
def _built() -> tuple[str, ...]:
    """The names in the table of images: kept, because every case asks for them."""
    table = tomllib.loads((paths.ROOT / "images" / "images.toml").read_text())
    return tuple(table["images"])


@dataclass(frozen=True)
class Case:
    """One configuration that is refused."""

    name: str
    layer: str
    would: str
    config: Mapping[str, Any]
    problems: Sequence[Mapping[str, str]]
    """Path, and parts of the reason and the fix, of each."""

    def found(self) -> list[Problem]:
        """What is said of it; none if it is taken."""
        try:
            render(f"{self.layer}.test", config=dict(self.config), images=images())
        except SettingsError as error:
            return error.problems
        return []


def files() -> list[Path]:
    """The files of the corpus."""
    return sorted(CORPUS.glob("*.yaml"))


def layer(file: Path) -> str:
    """Of whose stacks a file's configurations are."""
    return file.stem.partition("-")[0]


def good(file: Path) -> dict[str, Any]:
    """The configuration that the cases change."""
    found: dict[str, Any] = _content(file)["good"]
    return copy.deepcopy(found)


def cases(file: Path) -> Iterator[Case]:
    """The cases of a file."""
    content = _content(file)
    for case in content["cases"]:
        config = _merged(content["good"], case.get("change", {}))
        for path in case.get("drop", []):
            config = _without(config, path)
        yield Case(
            case["name"],
            layer(file),
            case.get("would", ""),
            config,
            copy.deepcopy(case["problems"]),
        )


@functools.cache
def _content(file: Path) -> dict[str, Any]:
    """What a file of the corpus says: kept, so nobody may change it."""
    found: dict[str, Any] = yaml_text.read(file.read_text(), str(file))
    return found


def _merged(base: Any, change: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(change, dict):
        return copy.deepcopy(change)
    result = copy.deepcopy(base)
    for key, value in change.items():
        result[key] = _merged(result.get(key), value)
    return result


def _without(config: dict[str, Any], path: str) -> dict[str, Any]:
    result = copy.deepcopy(config)
    *parents, last = path.split(".")
    place = result
    for parent in parents:
        place = place[parent]
    del place[last]
    return result
