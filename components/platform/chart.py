"""Charts and CRDs from their publishers' packages, as plain objects.

The Go modules of Envoy Gateway and of Karpenter carry their charts; go.sum guards them
(docs/decisions).
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.platform import package
from components.yaml_text import Dialect, read_all
from toolchain import builds, commands, helm

GROUP = "envoy-gateway"
CHART = "chart"
VALUES_TEMPLATE = "values.tmpl.yaml"
UNRELEASED = re.compile(r"\bv0\.0\.0-latest\b|\"latest\"")
"""Version in the module's Chart.yaml until a release is built from it."""
TIMEOUT_SECONDS = 600.0
_KUBERNETES = "1.36.0"
"""The cluster version that the chart gets; helm contacts no cluster."""

Object = dict[str, Any]


def envoy_gateway_chart(folder: str | None = None) -> Path:
    """The chart, ready for helm: `folder`, or the one in the pinned Go module."""
    if folder:
        return Path(folder).expanduser().resolve()
    return package.folder(GROUP, _release) / CHART


def _release(group: builds.Group, folder: Path) -> None:
    """Makes a release of the chart as the module has it."""
    chart = folder / CHART / "Chart.yaml"
    chart.write_text(UNRELEASED.sub(group.version(), chart.read_text()))
    # The images are always given as values; the template's own are never used.
    values = (folder / CHART / VALUES_TEMPLATE).read_text()
    values = re.sub(r"\$\{Gateway\w+\}", '""', values)
    (folder / CHART / "values.yaml").write_text(values)


def envoy_gateway_crds(folder: str | None = None) -> tuple[Object, ...]:
    """The CRDs of Gateway API and of Envoy Gateway, which its chart carries."""
    chart = envoy_gateway_chart(folder)
    return custom_resource_definitions(chart / "charts" / "crds" / "crds")


def template(
    chart: Path, *, release: str, namespace: str, values: Mapping[str, Any]
) -> list[Object]:
    """The chart's objects with those values, in the chart's order, hooks included."""
    encoded = json.dumps(values, sort_keys=True)
    found: list[Object] = json.loads(_template(chart, release, namespace, encoded))
    return found


@functools.lru_cache(maxsize=32)
def _template(chart: Path, release: str, namespace: str, values: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "values.json"
        file.write_text(values)
        rendered = commands.run(
            [str(helm.binary()), "template", release, str(chart), "--values", str(file)]
            + ["--namespace", namespace, "--kube-version", _KUBERNETES],
            # The user's own helm configuration is not used.
            environment={f"HELM_{n}_HOME": folder for n in ("CONFIG", "CACHE", "DATA")}
            | {"KUBECONFIG": os.devnull},
            timeout_seconds=TIMEOUT_SECONDS,
        )
    return json.dumps([o for o in _objects(rendered, str(chart)) if o])


def _objects(text: str, where: str) -> list[Any]:
    return read_all(text, where, Dialect.KUBERNETES)


@functools.lru_cache(maxsize=4)
def custom_resource_definitions(folder: Path) -> tuple[Object, ...]:
    """The CRDs in a folder's files, without their descriptions, by name."""
    files = sorted(folder.rglob("*.yaml"))
    found = [
        _without_descriptions(document)
        for file in files
        for document in _objects(file.read_text(), str(file))
        if document and document["kind"] == "CustomResourceDefinition"
    ]
    return tuple(sorted(found, key=lambda crd: str(crd["metadata"]["name"])))


def _without_descriptions(crd: Object) -> Object:
    """The CRD with schemas that validate the same and explain nothing.

    Texts are two thirds of 3.9 MB that every change of the stack's state would write.
    """
    for version in crd["spec"]["versions"]:
        _strip(version["schema"]["openAPIV3Schema"])
    crd.pop("status", None)
    crd["metadata"].pop("creationTimestamp", None)
    return crd


def _strip(schema: Object) -> None:
    """Removes `description` from a schema and from all schemas within it."""
    schema.pop("description", None)
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "definitions"):
            inner = list(value.values())
        elif key in ("items", "additionalProperties", "not"):
            inner = [value] if isinstance(value, dict) else []
        elif key in ("allOf", "anyOf", "oneOf"):
            inner = value
        else:
            continue
        for one in inner:
            _strip(one)
